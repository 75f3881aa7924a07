"""Paint holds still with the scene: the parked red car of the bundled street, before and while a blue one passes it."""

from __future__ import annotations

from pathlib import Path

import cv2
import kornia
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.bench.truth import Truth
from segnst.style.checkpoints import load_style
from segnst.style.scene import Scene, paint_layers
from segnst.video.read import open_reader

STREET = Path(__file__).parents[2] / "videos" / "street.mp4"
SIZE = (180, 320)
# Where the red car of frame 72 was in frame 48, in px of 640x360: found by ECC (cv2.findTransformECC) on the source.
MOVED = np.array([[1.0521514, -0.0378163, 61.6198], [0.0063183, 1.0327442, -8.47397]], np.float32)


@pytest.fixture(scope="module")
def street() -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """Frames of the clip [1,3,H,W], and their masks [1,2,H,W] of vehicles and the rest."""
    truth, frames, masks = Truth(STREET.with_suffix("")), {}, {}
    with open_reader(STREET) as reader:
        number = 0
        for clip in reader:
            for rgb in clip.rgb.split(1):
                if number in (0, 48, 72):
                    frames[number] = F.interpolate(rgb, SIZE, mode="area")
                    car = torch.from_numpy(truth.mask(number) == 7).float()[None, None]
                    masks[number] = F.interpolate(torch.cat((car, 1 - car), 1), SIZE, mode="area")
                number += 1
    return frames, masks


def moved(picture: Tensor) -> Tensor:
    """A picture of frame 48, with the red car where it is in frame 72."""
    matrix = MOVED * np.array([[1, 1, 0.5], [1, 1, 0.5]], np.float32)
    rows = picture[0].float().permute(1, 2, 0).contiguous().numpy()
    return torch.from_numpy(cv2.warpAffine(rows, matrix, SIZE[::-1])).permute(2, 0, 1)[None]


def red(rgb: Tensor) -> Tensor:
    return (rgb[:, 0] > 1.6 * rgb[:, 1]) & (rgb[:, 0] > 1.4 * rgb[:, 2])


def color_change(before: Tensor, after: Tensor, where: Tensor) -> float:
    """CIE ΔE (1976) of the mean color."""
    lab = [kornia.color.rgb_to_lab(p.float().clamp(0, 1)).permute(0, 2, 3, 1)[where].mean(0) for p in (before, after)]
    return float((lab[0] - lab[1]).norm())


@torch.inference_mode()
def test_a_parked_car_keeps_its_color_while_another_passes(
    street: tuple[dict[int, Tensor], dict[int, Tensor]],
) -> None:
    frames, masks = street
    member = load_style("starry_night").member
    assert member is not None
    codes = torch.stack([member.collection.code({name: 1.0}) for name in ("starry_night", "great_wave")])
    scene: Scene | None = None
    painted = {}
    for number in (0, 48, 72):
        painted[number], scene = paint_layers(member.collection.net, frames[number], codes, masks[number], scene)
    parked = red(moved(frames[48])) & red(frames[72])
    parked[..., : SIZE[1] * 3 // 5] = False  # the passing car is on the left
    assert parked.sum() > 500
    assert color_change(moved(frames[48]), frames[72], parked) < 2, "the source itself"
    assert color_change(moved(painted[48]), painted[72], parked) < 5
