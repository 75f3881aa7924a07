from __future__ import annotations

import torch
from torch import Tensor

from segnst.segmentation.base import Segmenter
from segnst.study.saliency import gradient_map
from segnst.types import Region


class ByRed(Segmenter[None]):
    """Takes red for a car, with more certainty the redder a pixel is."""

    def __init__(self) -> None:
        super().__init__("by red", (Region(0, "other"), Region(1, "car")))

    def frame(self, rgb: Tensor, carry: None) -> tuple[Tensor, None]:
        car = 20 * (rgb[:, 0] - 0.4)
        return torch.stack((torch.zeros_like(car), car), 1).softmax(1), None


def test_a_clear_car_counts_as_much_as_one_that_is_hard_to_see() -> None:
    rgb = torch.zeros(1, 3, 8, 12)
    rgb[:, 0, :, :4], rgb[:, 0, :, 8:] = 0.45, 1.0
    segmenter = ByRed()
    found = gradient_map(segmenter, rgb, segmenter.regions[1:])[0, 0]
    faint, none, clear = found[:, :4].mean(), found[:, 4:8].mean(), found[:, 8:].mean()
    assert none == 0 and faint > 0
    assert 0.8 < clear / faint < 1.25
