"""`segnst bench stability` as a user calls it, on a clip of a few frames with a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from segnst import registry
from segnst.bench import clips as clips_module
from tests.bench.make import rendered, tiny_style
from tests.bench.test_clips import davis
from tests.clips import panning, write_clip
from tests.conftest import Run


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A panning clip of 12 frames with a cut before frame 6, its truth, and a tiny style."""
    folder = tmp_path_factory.mktemp("bench")
    rendered(folder, 12, height=96, width=128, cut=6)
    tiny_style(folder)
    return folder


@pytest.fixture(scope="session")
def saved(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of all methods on it."""
    from segnst.bench.clips import find_clip
    from segnst.bench.report import Files, run_benchmark
    from segnst.bench.stability import Options
    from segnst.config import Settings

    options = Options(Settings(styles=(str(material / "tiny.safetensors"),), max_size=640, offline=True))
    folder = tmp_path_factory.mktemp("saved")
    written = Files.at(folder).write(run_benchmark([find_clip(material / "pan.mp4")], options))
    assert [p.name for p in written][:2] == ["stability.json", "stability.md"]
    return folder / "stability.json"


def test_the_report_holds_all_methods_and_no_machine_paths(saved: Path, material: Path) -> None:
    report = json.loads(saved.read_text())
    clip = report["clips"]["pan"]
    assert (report["plan"], clip["frames"], clip["measured_with"]) == (["tiny"], 12, "truth")
    assert clip["cuts"] == [6]
    assert set(clip["methods"]) == {"source", *registry.STABILITY_METHODS}
    assert clip["methods"]["per-frame"]["ratio"] == 1
    # the stabilizer does not use the true flow, yet is steadier than per-frame styling when measured with it
    assert clip["methods"]["segnst"]["ratio"] < 0.9
    assert clip["methods"]["segnst"]["cut_bleed"] == 0
    assert clip["error_over_time"]["segnst"][6] is None
    assert {"mask_iou", "encoded_e_warp", "sharp[fine]", "e_stab"} <= set(clip["methods"]["segnst"])
    assert clip["methods"]["source"]["mask_iou"] == 1
    assert set(report["weights"]) == {"tiny"}
    assert str(material) not in saved.read_text()
    text = saved.with_suffix(".md").read_text()
    for name in ("source (floor)", "per-frame (ceiling)", *list(registry.STABILITY_METHODS)[1:]):
        assert f"| {name} |" in text
    assert cv2.imread(str(saved.with_name("stability_error.png"))).shape[1] == 900


def _call(stability: Run, material: Path, *more: str | Path) -> tuple[int, str, str]:
    return stability(
        material / "pan.mp4", "-s", material / "tiny.safetensors", "--offline", "--methods", "segnst", *more
    )


def test_the_same_again_passes_and_worse_fails(stability: Run, material: Path, saved: Path, tmp_path: Path) -> None:
    code, out, err = _call(stability, material, "--against", saved, "-o", "again")
    assert code == 0, err
    assert Path("again/stability.json").is_file()
    assert "0 figures worse" in out
    report = json.loads(saved.read_text())
    report["clips"]["pan"]["methods"]["segnst"]["e_warp"] /= 3
    (tmp_path / "better.json").write_text(json.dumps(report))
    code, out, _ = _call(stability, material, "--against", tmp_path / "better.json")
    assert code == 1
    assert "worse  pan  e_warp" in out


def test_saved_results_are_not_replaced_by_worse_ones(stability: Run, material: Path, saved: Path) -> None:
    report = json.loads(saved.read_text())
    report["clips"]["pan"]["methods"]["segnst"]["e_warp"] /= 3
    text = json.dumps(report)
    Path("kept.json").write_text(text)
    code, _, err = _call(stability, material, "--against", "kept.json", "-o", "kept.json")
    assert code == 1
    assert "kept.json was not changed" in err
    assert Path("kept.json").read_text() == text
    assert not Path("kept.md").exists()


def test_another_plan_or_clip_is_refused_before_anything_is_measured(
    stability: Run, material: Path, saved: Path
) -> None:
    code, out, err = stability(material / "pan.mp4", "-s", "great_wave", "--offline", "--against", saved)
    assert (code, out) == (2, "")
    assert "the plan was tiny, now great_wave" in err
    write_clip(Path("pan.mp4"), panning(3), sound=False)
    code, out, err = stability("pan.mp4", "-s", material / "tiny.safetensors", "--offline", "--against", saved)
    assert (code, out) == (2, "")
    assert "has changed" in err


def test_json_on_stdout_is_json_also_beside_a_comparison(stability: Run, material: Path, saved: Path) -> None:
    code, out, err = _call(stability, material, "--json", "--against", saved, "--frames", 12)
    assert code == 0
    assert json.loads(out)["clips"]["pan"]["frames"] == 12
    assert "0 figures worse" in err


def test_other_frames_are_refused(stability: Run, material: Path, saved: Path) -> None:
    code, _, err = _call(stability, material, "--against", saved, "--frames", 3)
    assert code == 2
    assert "frames measured was 12, now 3" in err
    assert _call(stability, material, "--against", saved, "--frames", 3, "--force", "--tolerance", 100)[0] == 0


def test_a_plan_with_masks_on_a_davis_folder(stability: Run, material: Path, no_weights: None) -> None:
    folder = davis(Path("car").resolve(), 6, height=47)  # odd, so the encoder repeats a line
    style = material / "tiny.safetensors"
    code, out, err = stability(folder, "-s", f"vehicle={style}", "--offline", "-o", "out", "--json", "-q")
    assert (code, err) == (0, "")
    report = json.loads(out)
    clip = report["clips"]["car"]
    assert report["plan"] == ["vehicle=tiny", "background=original"]
    assert clip["measured_with"] == "dis"
    assert "flatters" in clip["notes"][0]
    assert "e_warp[background]" in clip["methods"]["segnst"]
    assert {"mask_iou", "encoded_e_warp"} <= set(clip["methods"]["segnst"])
    assert any("style kept was not measured" in n for n in report["notes"])
    assert {p.name for p in Path("out").iterdir()} >= {"stability.json", "stability.md", "stability_error.png"}


def test_style_is_measured_where_features_are(stability: Run, material: Path, shared: Path) -> None:
    features = shared / "networks" / "vgg19_to_relu3_4.safetensors"
    painting = f"tiny={shared / 'paintings' / 'udnie.jpg'}"
    code, out, err = _call(stability, material, "--features", features, "--json", "--frames", 6, "--painting", painting)
    assert code == 0, err
    report = json.loads(out)
    ours = report["clips"]["pan"]["methods"]["segnst"]
    assert 0.5 < ours["style[relu2_1]"] < 1.5
    assert ours["style_distance[relu2_1]"] > 0
    assert "features" in report["weights"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.mp4"], 1, "missing.mp4 does not exist"),
        (["CLIP", "--methods", "segnts"], 2, "Did you mean 'segnst'"),
        (["CLIP", "--against", "none.json"], 1, "cannot be read"),
        (["CLIP", "--painting", "x.jpg"], 2, "STYLE=FILE"),
        (["CLIP", "--painting", "tiny=x.jpg"], 1, "no picture"),
        (["CLIP", "--painting", f"tniy={Path(__file__).parents[2] / 'results' / 'readme_styles.jpg'}"], 2, "'tiny'"),
        (["CLIP", "--mask", "cra"], 2, "Did you mean 'car'?"),
        (["CLIP", "--mask", "background"], 2, "no class 'background'"),
        (["CLIP", "--frames", "1"], 2, ""),
        (["one.mp4"], 1, "fewer than two frames"),
    ],
)
def test_bad_requests_are_named(stability: Run, material: Path, arguments: list[str], code: int, words: str) -> None:
    write_clip(Path("one.mp4"), panning(1), sound=False)
    clip = str(material / "pan.mp4")
    style = ("-s", material / "tiny.safetensors", "--offline")
    more = ("--methods", "segnst") if "--methods" not in arguments else ()
    few = ("--frames", "2") if "--frames" not in arguments else ()
    found, out, err = stability(*(clip if a == "CLIP" else a for a in arguments), *style, *more, *few)
    assert found == code, err
    assert words in err
    assert "Traceback" not in err
    assert code == 0 or out == ""


def test_without_videos_a_clip_must_be_named(stability: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clips_module, "videos_dir", lambda: tmp_path / "videos")
    code, _, err = stability("--offline")
    assert code == 1
    assert "Name a clip" in err
