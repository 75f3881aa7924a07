"""The segmenter's carry in a preview includes the frames that the preview does not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from segnst.assembly import build
from segnst.config import Settings
from segnst.jobs.preview import states
from segnst.segmentation.base import Segmenter
from segnst.segmentation.wrappers.override import OverrideSegmenter
from segnst.types import Region
from tests.clips import as_clip, panning

PARTS = build(Settings(styles=("cluster1=starry_night",), segmenter="kmeans:3", fast=True, device="cpu"))


def test_clusters_keep_their_numbers_through_a_preview() -> None:
    rgb = panning(4)
    clips = [as_clip(frame) for frame in rgb.split(1)]
    assert PARTS.segmenter is not None
    carry = None
    for number, clip, state in states(PARTS, clips):
        assert number == 0 or np.array_equal(state.segmenter, carry)
        _, carry = PARTS.segmenter(clip.rgb, carry)


class Counting(Segmenter[None]):
    """Returns the same probabilities everywhere, and counts its calls."""

    def __init__(self) -> None:
        super().__init__("counting", (Region(0, "other"), Region(1, "cup")))
        self.looks = 0

    def frame(self, rgb: Tensor, carry: None) -> tuple[Tensor, None]:
        self.looks += 1
        return torch.full((1, 2, 4, 4), 0.5), None


def test_a_corrected_frame_is_found_without_a_look_at_those_before_it() -> None:
    counting = Counting()
    segmenter = OverrideSegmenter(counting, {3: np.ones((48, 64), np.uint8)}, {})
    clips = [as_clip(frame) for frame in panning(4).split(1)]
    *_, (number, clip, state) = states(replace(PARTS, segmenter=segmenter), clips)
    counting.looks = 0
    found, _ = segmenter(clip.rgb, state.segmenter)
    assert number == 3 and (found[0, 1] == 1).all()
    for _ in states(replace(PARTS, segmenter=segmenter), clips):
        pass
    assert counting.looks == 1
