"""The bundled weights, on frames that they were not trained on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.segmentation import deeplab
from segnst.segmentation.base import label_map, resolve
from segnst.segmentation.classes import STREET

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "models" / deeplab.BUNDLED["deeplab"]
SHARED = ROOT.parent / "shared"


def test_the_bundled_segmenter_is_small_and_knows_its_classes() -> None:
    assert WEIGHTS.stat().st_size < 10_000_000
    segmenter = deeplab.load_bundled("deeplab", device="cpu", offline=True)
    assert segmenter.regions == STREET
    assert segmenter.path == WEIGHTS


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/")
@pytest.mark.parametrize(
    ("frame", "name", "least"),
    [("car-roundabout/00000", "car", 0.85), ("car-roundabout/00030", "car", 0.85), ("parkour/00010", "person", 0.6)],
)
def test_it_finds_cars_and_people_in_davis(frame: str, name: str, least: float) -> None:
    image = cv2.imread(str(SHARED / f"stability/davis/{frame}.jpg"))[:, :, ::-1].copy()
    truth = cv2.imread(str(SHARED / f"stability/davis/{frame}_mask.png"), cv2.IMREAD_GRAYSCALE) > 0
    segmenter = deeplab.load_bundled("deeplab", device="cpu")
    p, _ = segmenter(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    (region,) = resolve(name, segmenter.regions)
    found = (label_map(p, truth.shape)[0] == region.index).numpy()
    found &= cv2.dilate(truth.astype(np.uint8), np.ones((21, 21), np.uint8)) == 1  # DAVIS marks one of many cars
    assert (found & truth).sum() / (found | truth).sum() >= least


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/")
def test_it_finds_the_parts_of_a_street() -> None:
    image = cv2.imread(str(sorted((SHARED / "segmentation/camvid/val/images").glob("*.jpg"))[0]))[:, :, ::-1].copy()
    p, _ = deeplab.load_bundled("deeplab", device="cpu")(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    seen = set(label_map(p, (360, 480)).unique().tolist())
    assert {1, 2, 3, 4, 5} <= seen
