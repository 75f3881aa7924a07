"""Segmentation at two scales with the bundled network."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.config import Settings
from segnst.segmentation.from_settings import segmenter_for
from segnst.segmentation.networks.deeplab import load_bundled
from segnst.segmentation.wrappers.combined import CombinedSegmenter
from segnst.segmentation.wrappers.two_looks import PERIOD, CloserSegmenter
from segnst.types import Motion
from segnst.video.read import open_reader
from tests.segmentation.scenes import moving_disk, write_frames

STREET = Path(__file__).parents[3] / "videos/street.mp4"


@pytest.fixture(scope="module")
def twice() -> CloserSegmenter:
    return CloserSegmenter(load_bundled("deeplab", device="cpu", offline=True))


@pytest.fixture(scope="module")
def frames() -> Tensor:
    film = cv2.VideoCapture(str(STREET))
    pictures = [film.read()[1][:, :, ::-1].copy() for _ in range(3)]
    return torch.stack([torch.from_numpy(p) for p in pictures]).permute(0, 3, 1, 2).float() / 255


def test_answers_are_probabilities_of_one_size(twice: CloserSegmenter, frames: Tensor) -> None:
    for rgb in (frames[:1], frames[:1, :, :200, :120], torch.zeros(1, 3, 64, 97)):
        found, _ = twice(rgb)
        assert found.shape == (1, 9, *twice.closer.grid((rgb.shape[2], rgb.shape[3])))
        assert torch.allclose(found.sum(1), torch.ones(()), atol=1e-5)
        assert float(found.min()) >= 0


def test_in_pieces_as_in_one(twice: CloserSegmenter, frames: Tensor) -> None:
    whole, _ = twice(frames)
    first, carry = twice(frames[:1])
    rest, _ = twice(frames[1:], carry)
    assert torch.equal(whole, torch.cat((first, rest)))


def test_a_far_car_is_found_and_one_that_fills_the_frame_is_kept(twice: CloserSegmenter, frames: Tensor) -> None:
    car = next(r.index for r in twice.regions if r.name == "vehicle")
    once = twice.first

    def share(found: Tensor) -> float:
        return float((found[:, car] > 0.5).float().mean())

    padding = (640, 640, 540, 540)
    far = F.pad(frames[:1], padding, value=0.5)  # the car appears at a third of its size
    assert share(twice(far)[0]) > 1.1 * share(once(far)[0])
    near = frames[:1, :, 130:300, 170:430]
    assert abs(share(twice(near)[0]) - share(once(near)[0])) < 0.05


def test_what_is_no_thing_is_as_at_first_sight(twice: CloserSegmenter, frames: Tensor) -> None:
    found = twice(frames[:1])[0]
    first = F.interpolate(twice.first(frames[:1])[0], found.shape[2:], mode="bilinear", align_corners=True)
    stuff = [p[:, twice.stuff] / p[:, twice.stuff].sum(1, keepdim=True) for p in (found, first)]
    clear = first[:, twice.stuff].sum(1, keepdim=True) > 0.5
    assert float(((stuff[0] - stuff[1]).abs() * clear).max()) < 1e-3


def test_frames_without_small_things_are_looked_at_once(
    twice: CloserSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    closer = twice.closer
    monkeypatch.setattr(twice, "closer", _Counting(closer, looks))
    plain = torch.full((2 * PERIOD, 3, 64, 96), 0.6)
    found, _ = twice(plain)
    assert len(looks) == 2
    assert found.shape[2:] == closer.grid((64, 96))


def looked(
    twice: CloserSegmenter, frames: Tensor, monkeypatch: pytest.MonkeyPatch, reliable: float | None, cut: int = -1
) -> list[int]:
    """The numbers of the frames on which the enlarged scale is computed, where nothing moves.

    reliable  of the flow, or None where no motion is told
    """
    still = torch.zeros(1, 2, *frames.shape[-2:])
    looks: list[int] = []
    carry, numbers = None, []
    with monkeypatch.context() as patch:
        patch.setattr(twice, "closer", _Counting(twice.closer, looks))
        for number in range(8):
            before = len(looks)
            if number == cut:
                carry = twice.after_cut(carry)
            elif carry is not None and reliable is not None:
                carry = twice.moved(carry, Motion(still, torch.full_like(still[:, :1], reliable)))
            found, carry = twice(frames[:1], carry)
            assert torch.allclose(found.sum(1), torch.ones(()), atol=1e-5)
            numbers += [number] * (len(looks) - before)
    return numbers


def test_the_enlarged_scale_is_carried_along_the_flow(
    twice: CloserSegmenter, frames: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = list(range(8))
    small = frames[:, :, ::2, ::2]
    assert looked(twice, small, monkeypatch, None) == every, "no motion is known"
    assert looked(twice, small, monkeypatch, 0.0) == every, "the flow is not to be trusted"
    assert looked(twice, small, monkeypatch, 1.0) == [0, 1, 3, 6]
    assert looked(twice, small, monkeypatch, 1.0, cut=4) == [0, 1, 3, 4, 5, 7]


def test_only_objects_of_the_plan_decide_how_often(twice: CloserSegmenter) -> None:
    vehicle = next(r.index for r in twice.regions if r.name == "vehicle")
    assert twice.select(["car"]).wanted == [vehicle]
    assert twice.select(["road"]).wanted == twice.things
    assert twice.select(["no such region"]).wanted == twice.things


class _Counting:
    def __init__(self, inner: object, looks: list[int]) -> None:
        self.inner, self.looks, self.grid = inner, looks, inner.grid  # type: ignore[attr-defined]

    def frame(self, rgb: Tensor, carry: None) -> object:
        self.looks.append(1)
        return self.inner.frame(rgb, carry)  # type: ignore[attr-defined]


def test_fast_looks_once() -> None:
    cpu = torch.device("cpu")
    assert isinstance(segmenter_for(Settings(), cpu), CloserSegmenter)
    assert segmenter_for(Settings(fast=True), cpu).name == "deeplab:513"


def test_fast_looks_once_beside_what_is_pointed_at(tmp_path: Path) -> None:
    frames, _ = moving_disk(1)
    settings = Settings(styles=("object=udnie", "road=udnie"), box=("18,20,54,56",), fast=True)
    with open_reader(write_frames(tmp_path / "frames", frames)) as reader:
        found = segmenter_for(settings, torch.device("cpu"), reader, ["object", "road"])
    assert isinstance(found, CombinedSegmenter)
    assert found.name == "deeplab:513"
