"""Segmentation at two scales: one as in the network's training, and an enlarged one for small objects.

A network recognizes objects best at the size that they had in its training. On enlarged frames it finds cars and people
that are far away, but misses those that fill the frame. So both scales are computed, and each pixel mixes the two
results by the size of the object around it (as in attention to scale, Chen et al. 2016, arXiv:1511.03339, where the
weights are learned). Ground, sky and walls are recognized by their surroundings, so the background classes are taken
from the first scale alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.engines.base import Engine
from segnst.segmentation.base import Segmenter, objects
from segnst.segmentation.networks.deeplab import DeepLabSegmenter, load_bundled
from segnst.segmentation.wrapped import Wrapped

CLOSE = 2  # factor by which the second scale enlarges each side
CELL = 4  # object sizes are measured on cells of this many pixels of the probabilities a side
AROUND = 3  # an object's size is its share of a square whose side is 1 / AROUND of the long side
# Shares: from SOME to SMALL the enlarged scale counts alone, from LARGE on it does not count. Between, it is mixed.
SOME, SMALL, LARGE = 0.005, 0.25, 0.6
SEEN = 0.25  # probability of a small object in this or the last frame above which the enlarged scale is computed
PERIOD = 12  # frames between two computations of the enlarged scale while no small object is found


@dataclass(frozen=True, slots=True)
class CloserCarry:
    """Number of frames since the scene began, and whether the last of them showed a small object."""

    frames: int = 0
    small: bool = False


class CloserSegmenter(Wrapped[None, CloserCarry]):
    """Runs the network of another segmenter at two scales.

    rgb ``[T,3,H,W]`` in [0,1] -> probabilities ``[T,K,h,w]``, ``CLOSE`` times as large as those of ``first``. The
    enlarged scale takes four times as long as the first one, and is left out on frames without small objects. The carry
    only decides about that, so frames may be skipped.
    """

    def __init__(self, first: DeepLabSegmenter) -> None:
        super().__init__(first)
        self.first = first
        self.closer = DeepLabSegmenter(first.name, first.network, first.regions, CLOSE * (first.long_side - 1) + 1)
        self.things = [r.index for r in objects(first.regions)]
        self.stuff = [r.index for r in first.regions if r.index not in self.things]

    def use(self, engine: Engine) -> None:
        self.first.use(engine)
        self.closer.use(engine)

    def around(self, inner: Segmenter[None]) -> CloserSegmenter:
        if not isinstance(inner, DeepLabSegmenter):
            raise TypeError(f"only a DeepLabSegmenter can run at two scales, not {type(inner).__name__}")
        return CloserSegmenter(inner)

    def own_skip(self, own: CloserCarry | None) -> CloserCarry | None:
        """Forget everything, so that the frame after a skipped one uses both scales, as at the beginning of a scene."""
        return None

    def look(self, rgb: Tensor, inner: None, own: CloserCarry | None) -> tuple[Tensor, None, CloserCarry]:
        found, _ = self.first.frame(rgb, None)
        grid = self.closer.grid((rgb.shape[2], rgb.shape[3]))
        found = F.interpolate(found, grid, mode="bilinear", align_corners=True)
        past = own or CloserCarry()
        if past.small or past.frames % PERIOD == 0 or self._small(found) > SEEN:
            found = self._merge(found, self.closer.frame(rgb, None)[0])
        return found.to(rgb.device), None, CloserCarry(past.frames + 1, self._small(found) > SEEN)

    def _small(self, probabilities: Tensor) -> float:
        """The largest probability of a small object anywhere in [1,K,h,w]."""
        things = _in_cells(probabilities[:, self.things].sum(1, keepdim=True))
        return float((things * _closeness(things)).amax())

    def _merge(self, first: Tensor, closer: Tensor) -> Tensor:
        """Mix the probabilities of both scales, [1,K,h,w] each -> [1,K,h,w] that sum to 1."""
        seen = torch.maximum(*(p[:, self.things].sum(1, keepdim=True) for p in (first, closer)))
        weight = F.interpolate(_closeness(_in_cells(seen)), first.shape[2:], mode="bilinear", align_corners=True)
        both = torch.lerp(first.clamp_min(1e-4).log(), closer.clamp_min(1e-4).log(), weight).softmax(1)
        # The second term decides where the first scale gives no background class any probability.
        stuff = first[:, self.stuff] + 1e-4 * both[:, self.stuff]
        rest = 1 - both[:, self.things].sum(1, keepdim=True)
        both[:, self.stuff] = stuff / stuff.sum(1, keepdim=True) * rest
        return both


def _in_cells(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, CELL, ceil_mode=True, count_include_pad=False)


def _closeness(things: Tensor) -> Tensor:
    """Weight of the enlarged scale, [1,1,rows,columns] in [0,1]: 0 at large objects and where there are no objects.

    things  [1,1,rows,columns], the probability that a cell belongs to an object

    The maximum over the neighborhood makes the outline of a large object count as large, too.
    """
    reach = max(1, max(things.shape[2:]) // AROUND // 2)
    share = F.avg_pool2d(things, 2 * reach + 1, 1, reach)
    share = F.max_pool2d(share, 2 * reach + 1, 1, reach)
    return (share / SOME).clamp(0, 1) * ((LARGE - share) / (LARGE - SMALL)).clamp(0, 1)


def load(
    name: str, *, device: str | torch.device, offline: bool = False, weights: Path | None = None
) -> CloserSegmenter | DeepLabSegmenter:
    """Registry entry: the bundled segmenter at two scales; ``NAME:PX`` at one, as ``load_bundled`` says."""
    found = load_bundled(name, device=device, offline=offline, weights=weights)
    return found if ":" in name else CloserSegmenter(found)
