"""`segnst segment --detect` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from segnst import registry
from segnst.masks.indexed_png import read_png
from tests.conftest import Run

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without fetched weights."""
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(registry.SELECTORS, "grabcut", "tests.segmentation.objects.test_sam:load_box")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/")
@pytest.mark.filterwarnings("default::segnst.errors.SegnstWarning")
def test_offline_objects_are_found_and_cut_out_all_the_same(run: Run, tmp_path: Path) -> None:
    photo = SHARED / "stability/davis/car-roundabout/00000.jpg"
    code, _, said = run("segment", photo, "--detect", "car, person", "--sam", "--offline", "-o", tmp_path / "out")
    assert code == 0
    assert "The bundled segmenter takes the place of the detector" in said
    assert "GrabCut takes the place of SAM" in said
    (objects,) = json.loads((tmp_path / "out/objects.json").read_text()).values()
    assert objects[0]["name"] == "car"
    truth = cv2.imread(str(photo.with_name("00000_mask.png")), cv2.IMREAD_GRAYSCALE) > 0
    label = read_png(tmp_path / "out/00000.png")
    ys, xs = np.nonzero(truth)
    inside = label[ys.min() : ys.max(), xs.min() : xs.max()]
    assert (inside > 0).mean() > 0.8, "the box of the car"


def test_what_does_not_go_together_is_said(run: Run, tmp_path: Path) -> None:
    cv2.imwrite("photo.jpg", np.zeros((32, 32, 3), np.uint8))
    for arguments, words in (
        (("--sam",), "--detect NAMES"),
        (("--detect", " , "), "needs names"),
        (("--detect", "car", "--detector", "yolo"), "no detector 'yolo'"),
    ):
        code, _, err = run("segment", "photo.jpg", *arguments, "-o", tmp_path / "out")
        assert code == 2
        assert words in err
    assert not (tmp_path / "out").exists()
