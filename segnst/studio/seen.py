"""Segmenters whose answer for one frame is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from segnst.segmentation.base import Segmenter
from segnst.segmentation.objects.tracker import shared
from segnst.types import Region


class Seen(Segmenter[None]):
    """Gives the same probabilities [1,K,h,w] for every frame."""

    def __init__(self, name: str, regions: Sequence[Region], probabilities: Tensor) -> None:
        super().__init__(name, regions)
        self.probabilities = probabilities

    def frame(self, rgb: Tensor, carry: None) -> tuple[Tensor, None]:
        return self.probabilities.to(rgb.device), None


def objects_seen(masks: Mapping[str, Tensor]) -> Seen:
    """A segmenter of objects, from their masks [1,1,H,W] by name; region 0 is the background."""
    names = ["background", *masks]
    regions = [Region(k, name) for k, name in enumerate(names)]
    return Seen("selection", regions, shared([mask.cpu().float() for mask in masks.values()]))
