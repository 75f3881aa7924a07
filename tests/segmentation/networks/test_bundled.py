"""The bundled weights, on frames that they were not trained on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.bench.clips import find_clip
from segnst.errors import UsageError
from segnst.masks.classes import STREET
from segnst.masks.label_map import label_map
from segnst.masks.labeled import held_back, read_label
from segnst.segmentation.base import resolve
from segnst.segmentation.from_settings import load_segmenter
from segnst.segmentation.networks import deeplab

ROOT = Path(__file__).parents[3]
WEIGHTS = ROOT / "models" / deeplab.BUNDLED["deeplab"]
SHARED = ROOT.parent / "shared"


def test_the_bundled_segmenter_is_small_and_knows_its_classes() -> None:
    assert WEIGHTS.stat().st_size < 10_000_000
    segmenter = deeplab.load_bundled("deeplab", device="cpu", offline=True)
    assert segmenter.regions == STREET
    assert segmenter.path == WEIGHTS


def test_it_finds_more_when_it_looks_closer() -> None:
    ok, picture = cv2.VideoCapture(str(ROOT / "videos/street.mp4")).read()
    assert ok
    rgb = torch.from_numpy(picture[:, :, ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    true = find_clip(ROOT / "videos/street.mp4").true_mask(0, ("vehicle",), (360, 640))
    assert true is not None
    truth = true[0, 0].numpy() > 0.5

    def iou(name: str) -> float:
        segmenter = load_segmenter(name, torch.device("cpu"), offline=True)
        found = (label_map(segmenter(rgb)[0], truth.shape)[0] == resolve("car", segmenter.regions)[0].index).numpy()
        return float((found & truth).sum() / (found | truth).sum())

    assert iou("deeplab") > iou("deeplab:513") > iou("deeplab:257")


@pytest.mark.parametrize("name", ["deeplab:", "deeplab:close", "car_parts:20", "deeplab:-513"])
def test_a_size_that_is_none_is_told(name: str) -> None:
    with pytest.raises(UsageError, match="long side"):
        deeplab.load_bundled(name, device="cpu", offline=True)


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
    found &= cv2.dilate(truth.astype(np.uint8), np.ones((21, 21), np.uint8)) == 1  # DAVIS labels only one of many cars
    assert (found & truth).sum() / (found | truth).sum() >= least


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/")
def test_it_finds_the_parts_of_a_street() -> None:
    image = cv2.imread(str(sorted((SHARED / "segmentation/camvid/val/images").glob("*.jpg"))[0]))[:, :, ::-1].copy()
    p, _ = deeplab.load_bundled("deeplab", device="cpu")(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    seen = set(label_map(p, (360, 480)).unique().tolist())
    assert {1, 2, 3, 4, 5} <= seen


def test_the_parts_of_a_vehicle_have_names_of_their_own_and_together() -> None:
    segmenter = deeplab.load_bundled("car_parts", device="cpu", offline=True)
    assert len(segmenter.regions) == 19
    assert len(resolve("car", segmenter.regions)) == 18
    assert {r.name for r in resolve("headlight", segmenter.regions)} == {"front_left_light", "front_right_light"}
    assert [r.name for r in resolve("hood", segmenter.regions)] == ["hood"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs shared/")
def test_it_finds_the_doors_and_wheels_of_a_car_and_on_which_side_they_are() -> None:
    """A photo that was held back from training shows a car from the left; mirrored, it shows it from the right."""
    folder = SHARED / "segmentation/car_parts/train"
    photo = next(
        p
        for p in sorted((folder / "images").glob("*.jpg"))
        if held_back(p, 6) and {4, 10, 19} <= set(np.unique(read_label(folder / f"parts/{p.stem}.png")))
    )
    truth, image = read_label(folder / f"parts/{photo.stem}.png"), cv2.imread(str(photo))[:, :, ::-1]
    segmenter = deeplab.load_bundled("car_parts", device="cpu")
    for mirror, side in ((1, "left"), (-1, "right")):
        rgb = torch.from_numpy(image[:, ::mirror].copy()).permute(2, 0, 1)[None].float() / 255
        label = label_map(segmenter(rgb)[0], truth.shape)[0].numpy()[:, ::mirror]
        for name, values in ((f"{side}_door", (4, 10)), ("wheel", (19,))):
            found = np.isin(label, [r.index for r in resolve(name, segmenter.regions)])
            there = np.isin(truth, values)
            assert (found & there).sum() / (found | there).sum() > 0.5
