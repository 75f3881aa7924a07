from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from segnst.bench.against import compare, load_report
from segnst.bench.columns import COLUMNS, worsening
from segnst.bench.report import FORMAT
from segnst.errors import InputError, UsageError

FIGURES = {"e_warp": 0.001, "excess": 0.2, "sharp[fine]": 0.97, "mask_iou": 0.9, "ghosts": 1.1, "excess[car]": 0.01}


def report() -> dict[str, Any]:
    clip = {
        "frames": 8,
        "size": [320, 180],
        "sha256": "ab",
        "measured_with": "truth",
        "mask": "vehicle",
        "methods": {"segnst": dict(FIGURES)},
    }
    return {
        "format": FORMAT,
        "plan": ["starry_night"],
        "settings": {},
        "weights": {"starry_night": "aa"},
        "clips": {"one": clip, "two": copy.deepcopy(clip)},
        "mean": {},
    }


def changed(key: str, value: float) -> dict[str, Any]:
    now = report()
    now["clips"]["one"]["methods"]["segnst"][key] = value
    return now


def test_the_same_is_the_same() -> None:
    found = compare(report(), report())
    assert found.worse == ()
    assert {c.verdict for c in found.changes} == {"same"}
    assert {c.clip for c in found.changes} == {"one", "two", "mean"}


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [
        ("e_warp", 0.0013, "worse"),
        ("e_warp", 0.00105, "same"),
        ("e_warp", 0.0005, "better"),
        ("excess", 0.3, "worse"),
        ("excess", 0.21, "same"),
        ("excess", -0.5, "better"),
        ("excess[car]", 0.02, "same"),  # doubled, but within the noise
        ("excess[car]", 0.05, "worse"),
        ("sharp[fine]", 0.8, "worse"),
        ("sharp[fine]", 1.2, "worse"),
        ("sharp[fine]", 1.02, "same"),
        ("mask_iou", 0.7, "worse"),
        ("mask_iou", 0.99, "same"),
        ("ghosts", 1.5, "worse"),
    ],
)
def test_each_figure_has_its_direction(key: str, value: float, verdict: str) -> None:
    found = compare(report(), changed(key, value))
    assert [c.verdict for c in found.changes if c.clip == "one" and c.key == key] == [verdict]
    assert bool(found.worse) == (verdict == "worse")
    if verdict != "same":
        assert f"{verdict:6} one  {key}: " in str(found)


def test_tolerance_is_a_share_of_the_old_figure() -> None:
    now = changed("e_warp", 0.0013)
    assert compare(report(), now, tolerance=0.05).worse
    assert not compare(report(), now, tolerance=0.5).worse


def test_the_mean_counts_too() -> None:
    now = report()
    for clip in now["clips"].values():
        clip["methods"]["segnst"]["ghosts"] = 1.3
    assert [c.clip for c in compare(report(), now).worse] == ["one", "two", "mean"]


def test_frozen_light_is_no_gain() -> None:
    assert worsening("excess", -0.4, -0.1) == 0
    assert worsening("long_excess", -0.4, 0.1) == pytest.approx(0.1)
    assert all(c.noise > 0 for c in COLUMNS.values())


@pytest.mark.parametrize(
    ("key", "value"), [("frames", 9), ("size", [640, 360]), ("measured_with", "dis"), ("sha256", "x")]
)
def test_what_was_measured_otherwise_is_refused_unless_forced(key: str, value: object) -> None:
    now = report()
    now["clips"]["two"][key] = value
    with pytest.raises(UsageError, match=r"two: .* was .*, now .*--force"):
        compare(report(), now)
    assert any("two: " in r for r in compare(report(), now, force=True).remarks)


def test_another_plan_is_refused_and_other_weights_are_a_note() -> None:
    now = report()
    now["plan"] = ["great_wave"]
    with pytest.raises(UsageError, match="the plan was starry_night, now great_wave"):
        compare(report(), now)
    now = report()
    now["weights"]["starry_night"] = "bb"
    assert "the weights of starry_night differ" in compare(report(), now).remarks[0]


def test_clips_of_one_side_only_are_noted() -> None:
    now = report()
    now["clips"]["three"] = now["clips"].pop("two")
    found = compare(report(), now)
    assert found.remarks == ("note: two was not measured now", "note: three has no saved results")
    assert {c.clip for c in found.changes} == {"one"}
    now["clips"].pop("one")
    with pytest.raises(UsageError, match="none of these clips"):
        compare(report(), now)
    lacking = report()
    lacking["clips"]["one"]["methods"] = {"per-frame": {}}
    with pytest.raises(UsageError, match="lack the method segnst"):
        compare(report(), lacking)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no json", "are not JSON"),
        ("[]", "does not hold results"),
        ('{"format": "segnst-stability-1"}', "damaged"),
        ('{"format": "segnst-stability-1", "clips": {"a": 3}}', "damaged"),
    ],
)
def test_broken_saved_results_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=words):
        load_report(tmp_path / "x.json")
    with pytest.raises(InputError, match="cannot be read"):
        load_report(tmp_path / "missing.json")


def test_saved_results_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(report()))
    assert load_report(tmp_path / "x.json") == report()
