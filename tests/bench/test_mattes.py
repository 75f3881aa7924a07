from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.bench.clips import videos_dir
from segnst.bench.matte_clips import matte_clips, measure_mattes
from segnst.bench.mattes import compare, evaluate_mattes
from segnst.errors import InputError
from tests.conftest import Run


def _disk(radius: float, at: tuple[float, float] = (40, 30)) -> np.ndarray:
    y, x = np.mgrid[:60, :80]
    return np.clip(radius - np.hypot(x - at[0], y - at[1]) + 0.5, 0, 1)


def test_the_truth_itself_has_no_error() -> None:
    assert set(compare(_disk(15), _disk(15), (_disk(14), _disk(14))).values()) == {0.0}


def test_known_errors_have_their_known_figures() -> None:
    truth = np.zeros((10, 20))
    ours = truth + 0.5
    found = compare(ours, truth, (ours - 0.25, truth))
    assert found["sad"] == pytest.approx(0.1)
    assert found["mse"] == pytest.approx(250)
    assert found["gradient"] == pytest.approx(0)
    assert found["dtssd"] == pytest.approx(25)


def test_a_stray_blob_costs_connectivity_and_a_faint_difference_does_not() -> None:
    truth = _disk(15)
    stray = compare(np.maximum(truth, 0.6 * _disk(4, (70, 8))), truth)
    assert stray["connectivity"] == pytest.approx(stray["sad"], rel=0.05)
    faint = compare(0.95 * truth, truth)
    assert faint["connectivity"] < 0.05 * faint["sad"]


def _write(folder: Path, mattes: list[np.ndarray], *, deep: bool = False) -> Path:
    folder.mkdir()
    for k, alpha in enumerate(mattes):
        data = np.rint(alpha * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)
        cv2.imwrite(str(folder / f"{k:04d}.png"), data)
    return folder


def test_folders_are_compared_frame_by_frame(tmp_path: Path) -> None:
    truth = _write(tmp_path / "truth", [_disk(15), _disk(16), _disk(17)])
    same = _write(tmp_path / "same", [_disk(15), _disk(16)], deep=True)
    result = evaluate_mattes(same, truth)
    assert (result["frames"], result["missing"]) == (2, 1)
    assert result["mean"]["mse"] < 0.01
    cut_outs = tmp_path / "cut_outs"
    cut_outs.mkdir()
    for k in range(3):
        rgba = np.dstack([np.full((60, 80, 3), 90, np.uint8), np.rint(_disk(12 + k) * 255).astype(np.uint8)])
        cv2.imwrite(str(cut_outs / f"{k:04d}.png"), rgba)
    result = evaluate_mattes(cut_outs, truth)
    assert result["mean"]["sad"] > 0.1


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    truth = _write(tmp_path / "truth", [_disk(15)])
    with pytest.raises(InputError, match="There is no folder"):
        evaluate_mattes(tmp_path / "none", truth)
    other = _write(tmp_path / "other", [_disk(15)[:50]])
    with pytest.raises(InputError, match="different sizes: 80x50 and 80x60"):
        evaluate_mattes(other, truth)
    (other / "0000.png").rename(other / "x.png")
    with pytest.raises(InputError, match="nothing to compare"):
        evaluate_mattes(other, truth)


def test_the_command_prints_and_writes_the_figures(run: Run, tmp_path: Path) -> None:
    truth, ours = _write(tmp_path / "truth", [_disk(15)] * 2), _write(tmp_path / "ours", [_disk(14)] * 2)
    code, out, err = run("evaluate", "mattes", ours, truth, "-o", "f.json")
    assert code == 0, err
    assert "| 2 frames |" in out
    assert json.loads((tmp_path / "f.json").read_text())["mean"]["dtssd"] == 0


def test_a_matte_beats_the_guided_edge_on_the_rendered_clips() -> None:
    if not any((videos_dir() / name / "alpha").is_dir() for name in ("fur", "hair", "spokes")):
        pytest.skip("the rendered clips are not here")
    report = measure_mattes(matte_clips(), device=torch.device("cpu"), frames=2)
    for clip in report["clips"].values():
        guided, matte = (clip["rows"][f"{edge}, true, reduced"] for edge in ("guided", "matte"))
        assert matte["sad"] < 1.1 * guided["sad"]
        assert matte["color"] < 0.9 * matte["mixed"]
    guided, matte = (report["mean"][f"{edge}, segmented"] for edge in ("guided", "matte"))
    assert matte["sad"] < guided["sad"]
    assert matte["dtssd"] < guided["dtssd"]
