"""Two looks at a frame: one as the network was trained, and a closer one for what is small in it.

A network sees best what has the size that it was trained with. Enlarged frames show it cars and people far away, and
take from it those that fill the frame: so each pixel gets both answers, weighed by how large the thing round it is
(attention to scale, Chen et al. 2016, arXiv:1511.03339; there the weights are learned). Ground, sky and walls are known
by what surrounds them: for what is no thing the first look alone counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.segmentation.base import Segmenter, objects
from segnst.segmentation.networks.deeplab import DeepLabSegmenter, load_bundled
from segnst.segmentation.wrapped import Wrapped

CLOSE = 2  # times as many pixels a side
CELL = 4  # sizes are reckoned in squares of so many pixels of the answer
AROUND = 3  # how large a thing is: its share of a square of 1 / AROUND of the long side
SOME, SMALL, LARGE = 0.005, 0.25, 0.6  # from SOME to SMALL the closer look alone counts, from LARGE it does not
SEEN = 0.25  # how surely something small is in the frame at first sight, or was in the last one
PERIOD = 12  # frames from one closer look to the next where nothing small was seen


@dataclass(frozen=True, slots=True)
class CloserCarry:
    """Frames since the scene began, and whether something small was in the last of them."""

    frames: int = 0
    small: bool = False


class CloserSegmenter(Wrapped[None, CloserCarry]):
    """A segmenter that looks twice with the network of another.

    rgb ``[T,3,H,W]`` in [0,1] -> probabilities ``[T,K,h,w]`` at a quarter of ``CLOSE`` times the other's size. The
    closer look takes four times as long as the first, and is left out of frames where nothing is small. What it carries
    decides about that alone, so that a frame may also be asked for without those before it.
    """

    def __init__(self, first: DeepLabSegmenter) -> None:
        super().__init__(first)
        self.first = first
        self.closer = DeepLabSegmenter(first.name, first.network, first.regions, CLOSE * (first.long_side - 1) + 1)
        self.things = [r.index for r in objects(first.regions)]
        self.stuff = [r.index for r in first.regions if r.index not in self.things]

    def around(self, inner: Segmenter[None]) -> CloserSegmenter:
        if not isinstance(inner, DeepLabSegmenter):
            raise TypeError(f"only a DeepLabSegmenter can look closer, not {type(inner).__name__}")
        return CloserSegmenter(inner)

    def own_skip(self, own: CloserCarry | None) -> CloserCarry | None:
        """Behind a frame that was not seen it looks closely, as at the beginning of a scene."""
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
        """How surely something small is anywhere in [1,K,h,w]."""
        things = _in_cells(probabilities[:, self.things].sum(1, keepdim=True))
        return float((things * _closeness(things)).amax())

    def _merge(self, first: Tensor, closer: Tensor) -> Tensor:
        """Two looks [1,K,h,w] -> what is believed, [1,K,h,w] summing to 1."""
        seen = torch.maximum(*(p[:, self.things].sum(1, keepdim=True) for p in (first, closer)))
        weight = F.interpolate(_closeness(_in_cells(seen)), first.shape[2:], mode="bilinear", align_corners=True)
        both = torch.lerp(first.clamp_min(1e-4).log(), closer.clamp_min(1e-4).log(), weight).softmax(1)
        stuff = first[:, self.stuff] + 1e-4 * both[:, self.stuff]  # the latter where first sight knows of things alone
        rest = 1 - both[:, self.things].sum(1, keepdim=True)
        both[:, self.stuff] = stuff / stuff.sum(1, keepdim=True) * rest
        return both


def _in_cells(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, CELL, ceil_mode=True, count_include_pad=False)


def _closeness(things: Tensor) -> Tensor:
    """How much the closer look counts, [1,1,rows,columns] in [0,1]: 0 at large things, and where there are none.

    things  the probability that a cell belongs to one. What is round a large thing is large, its outline too.
    """
    reach = max(1, max(things.shape[2:]) // AROUND // 2)
    share = F.avg_pool2d(things, 2 * reach + 1, 1, reach)
    share = F.max_pool2d(share, 2 * reach + 1, 1, reach)
    return (share / SOME).clamp(0, 1) * ((LARGE - share) / (LARGE - SMALL)).clamp(0, 1)


def load(
    name: str, *, device: str | torch.device, offline: bool = False, weights: Path | None = None
) -> CloserSegmenter | DeepLabSegmenter:
    """Registry entry: the bundled segmenter, which looks twice; ``NAME:PX`` once, as ``load_bundled`` says."""
    found = load_bundled(name, device=device, offline=offline, weights=weights)
    return found if ":" in name else CloserSegmenter(found)
