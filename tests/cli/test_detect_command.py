"""`segnst segment --detect` as a user calls it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from segnst import registry
from segnst.cli.app import main
from segnst.segmentation.indexed_png import read_png

SHARED = Path(__file__).parents[3] / "shared"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["segnst", "segment", *map(str, arguments)])
    with pytest.raises(SystemExit) as leave:
        main()
    return int(leave.value.code or 0)


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without fetched weights."""
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(registry.SELECTORS, "grabcut", "tests.segmentation.test_sam:load_box")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/")
@pytest.mark.filterwarnings("default::segnst.errors.SegnstWarning")
def test_offline_objects_are_found_and_cut_out_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = SHARED / "stability/davis/car-roundabout/00000.jpg"
    assert run(monkeypatch, photo, "--detect", "car, person", "--sam", "--offline", "-o", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "The bundled segmenter takes the place of the detector" in said
    assert "GrabCut takes the place of SAM" in said
    (objects,) = json.loads((tmp_path / "out/objects.json").read_text()).values()
    assert objects[0]["name"] == "car"
    truth = cv2.imread(str(photo.with_name("00000_mask.png")), cv2.IMREAD_GRAYSCALE) > 0
    label = read_png(tmp_path / "out/00000.png")
    ys, xs = np.nonzero(truth)
    inside = label[ys.min() : ys.max(), xs.min() : xs.max()]
    assert (inside > 0).mean() > 0.8, "the box of the car"


def test_what_does_not_go_together_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        (("--sam",), "--detect NAMES"),
        (("--detect", " , "), "needs names"),
        (("--detect", "car", "--detector", "yolo"), "no detector 'yolo'"),
    ):
        assert run(monkeypatch, "photo.jpg", *arguments, "-o", tmp_path / "out") == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
