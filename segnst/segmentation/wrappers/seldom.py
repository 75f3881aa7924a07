"""Looks for regions in every n-th frame only, to save time; in between, the last answer holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from segnst.segmentation.base import Segmenter
from segnst.segmentation.wrapped import Wrapped

Inner = TypeVar("Inner")


@dataclass(frozen=True, slots=True)
class Seen:
    """The last answer [1,K,h,w], and how many frames it has served."""

    probabilities: Tensor
    served: int


class SeldomSegmenter(Wrapped[Inner, Seen]):
    """Asks ``inner`` for every ``every``-th frame, and for the first one after a cut.

    In between, it repeats the answer; a segmenter that needs every frame is always asked. The pipeline smooths masks
    along the optical flow, so what moves is followed.
    """

    def __init__(self, inner: Segmenter[Inner], every: int) -> None:
        super().__init__(inner)
        self.every = every

    def look(self, rgb: Tensor, inner: Inner | None, own: Seen | None) -> tuple[Tensor, Inner | None, Seen | None]:
        if own is not None and own.served < self.every and not self.in_order:
            return own.probabilities, self.inner.skip(inner), Seen(own.probabilities, own.served + 1)
        probabilities, inner = self.inner.frame(rgb, inner)
        return probabilities, inner, Seen(probabilities, 1)

    def around(self, inner: Segmenter[Inner]) -> SeldomSegmenter[Inner]:
        return SeldomSegmenter(inner, self.every)
