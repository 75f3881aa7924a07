"""``segnst bench speed``: real runs of tiny frames, and the report of figures that are given."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from segnst.bench.speed import SpeedSettings, plan_of
from segnst.bench.speed_report import markdown
from segnst.errors import UsageError
from segnst.plan import parse_plan
from segnst.style.collection import Member, write_collection
from segnst.style.painter import Painter
from tests.conftest import Run

STREET = Path(__file__).parents[2] / "videos" / "street.mp4"


@pytest.mark.slow
def test_a_run_in_processes_of_their_own(run: Run, tmp_path: Path) -> None:
    write_collection(tmp_path / "a.safetensors", Painter(3, 4, 1, 1, identity=True), [Member("x"), Member("y")], {})
    words = ["--sizes", "96x64", "--counts", "2", "--modes", "fast", "--engines", "torch", "--frames", "2"]
    styles = ",".join(f"{tmp_path / 'a.safetensors'}:{name}" for name in "xy")
    code, out, err = run("bench", "speed", STREET, *words, "--styles", styles, "-o", tmp_path / "speed")
    assert code == 0, err
    report = json.loads((tmp_path / "speed.json").read_text())
    ours, plain = report["rows"]
    assert (ours["mode"], plain["mode"], plain["share"]) == ("fast", "reference", 1.0)
    assert ours["engine"].startswith("torch")
    assert {"segment", "stylize", "flow"} <= set(ours["stages"])
    assert sum(ours["stages"].values()) == pytest.approx(ours["processor"])
    assert min(ours["fps"], ours["memory"], ours["start"], ours["first"], ours["memory_half"]) > 0
    assert out.strip() == markdown(report).strip() == (tmp_path / "speed.md").read_text().strip()
    assert cv2.imread(str(tmp_path / "speed.png")) is not None
    assert run("bench", "speed", STREET, *words, "-o", tmp_path / "speed")[0] == 1, "the files exist"


def test_plans_of_each_number_of_styles() -> None:
    for count in (1, 2, 3, 4):
        assert len(parse_plan(plan_of("abcd"[:count])).styles) == count


@pytest.mark.parametrize("wrong", [{"sizes": ("640",)}, {"modes": ("slow",)}, {"styles": ("a",)}, {"counts": (5,)}])
def test_what_cannot_be_measured_is_said(wrong: dict[str, tuple[object, ...]]) -> None:
    with pytest.raises(UsageError):
        SpeedSettings(**wrong)  # type: ignore[arg-type]
