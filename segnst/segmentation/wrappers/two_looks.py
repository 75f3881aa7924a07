"""Segmentation at two scales: one as in the network's training, and an enlarged one for small objects.

A network recognizes objects best at the size that they had in its training. On enlarged frames it finds cars and people
that are far away, but misses those that fill the frame. So both scales are computed, and each pixel mixes the two
results by the size of the object around it (as in attention to scale, Chen et al. 2016, arXiv:1511.03339, where the
weights are learned). Ground, sky and walls are recognized by their surroundings, so the background classes are taken
from the first scale alone.

Most of the time goes into the enlarged scale. Where the motion between frames is known, its probabilities are therefore
carried to the next frames along the optical flow (as key-frame features are in deep feature flow, Zhu et al. 2017,
arXiv:1611.07715). How many frames may lie between two computations depends on the objects: each time, what was carried
is compared with what is computed. Large cars agree and are computed on every fourth frame, distant people who walk do
not and are computed on every frame. What was carried counts less where the flow cannot be trusted; if that is so on a
good part of the objects, they are computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.engines.base import Engine
from segnst.errors import PlanError
from segnst.flow.warp import scaled_flow, warp
from segnst.segmentation.base import Segmenter, objects, resolve
from segnst.segmentation.networks.deeplab import DeepLabSegmenter, load_bundled
from segnst.segmentation.wrapped import Wrapped
from segnst.types import Motion

CLOSE = 2  # factor by which the second scale enlarges each side
CELL = 4  # object sizes are measured on cells of this many pixels of the probabilities a side
AROUND = 3  # an object's size is its share of a square whose side is 1 / AROUND of the long side
# Shares: from SOME to SMALL the enlarged scale counts alone, from LARGE on it does not count. Between, it is mixed.
SOME, SMALL, LARGE = 0.005, 0.25, 0.6
SEEN = 0.25  # probability of a small object in this or the last frame above which the enlarged scale is computed
PERIOD = 12  # frames between two computations of the enlarged scale while no small object is found
EVERY = 4  # most frames between two computations of the enlarged scale, where the motion between them is known
AGREE = 0.96  # agreement of carried and computed objects (soft IoU) from which on they may be carried further
LOST = 0.15  # share of the objects on untrusted flow above which the enlarged scale is computed at once


@dataclass(frozen=True, slots=True)
class Carried:
    """The enlarged scale of an earlier frame, and where each pixel of this frame was in that one.

    probabilities  [1,K,h,w] of the earlier frame
    way    [1,2,h,w] in px of the probabilities: position there = position here + way
    trust  [1,1,h,w] in [0,1]: how far the way can be trusted
    age    number of frames since then; ``known`` is whether the motion into this frame was told
    """

    probabilities: Tensor
    way: Tensor
    trust: Tensor
    age: int = 0
    known: bool = False

    def moved(self, motion: Motion) -> Carried:
        """For the next frame, whose motion is given."""
        flow = scaled_flow(motion.flow, (self.way.shape[-2], self.way.shape[-1]))
        reliable = F.interpolate(motion.reliable, self.way.shape[-2:], mode="bilinear", align_corners=False)
        both = warp(torch.cat((self.way, self.trust), 1), flow)
        return Carried(self.probabilities, flow + both[:, :2], reliable * both[:, 2:], self.age + 1, True)


@dataclass(frozen=True, slots=True)
class CloserCarry:
    """What is known of the scene so far.

    frames   number of its frames;  small  whether the last of them showed a small object
    carried  the enlarged scale, if it was used on the last frame
    pause    number of frames after which it is computed again
    """

    frames: int = 0
    small: bool = False
    carried: Carried | None = None
    pause: int = 1


class CloserSegmenter(Wrapped[None, CloserCarry]):
    """Runs the network of another segmenter at two scales.

    rgb ``[T,3,H,W]`` in [0,1] -> probabilities ``[T,K,h,w]``, ``CLOSE`` times as large as those of ``first``. The
    enlarged scale takes four times as long as the first one. It is left out on frames without small objects, and where
    motion is known (:meth:`Segmenter.moved`), it is carried along the flow between every ``EVERY``-th frame.
    """

    def __init__(self, first: DeepLabSegmenter) -> None:
        super().__init__(first)
        self.first = first
        self.closer = DeepLabSegmenter(first.name, first.network, first.regions, CLOSE * (first.long_side - 1) + 1)
        self.things = [r.index for r in objects(first.regions)]
        self.stuff = [r.index for r in first.regions if r.index not in self.things]
        self.wanted = self.things  # the objects whose masks are used

    def use(self, engine: Engine) -> None:
        self.first.use(engine)
        self.closer.use(engine)

    def around(self, inner: Segmenter[None]) -> CloserSegmenter:
        if not isinstance(inner, DeepLabSegmenter):
            raise TypeError(f"only a DeepLabSegmenter can run at two scales, not {type(inner).__name__}")
        return CloserSegmenter(inner)

    def select(self, names: Sequence[str]) -> CloserSegmenter:
        """Return the same segmenter, which computes the enlarged scale only as often as the named objects need it."""
        try:
            named = {region.index for name in names for region in resolve(name, self.regions)}
        except PlanError:  # whoever resolves the plan raises it
            return self
        chosen = CloserSegmenter(self.first)
        chosen.wanted = [k for k in self.things if k in named] or self.things
        return chosen

    def own_skip(self, own: CloserCarry | None) -> CloserCarry | None:
        """Forget everything, so that the frame after a skipped one uses both scales, as at the beginning of a scene."""
        return None

    def own_moved(self, own: CloserCarry | None, motion: Motion) -> CloserCarry | None:
        if own is None or own.carried is None:
            return own
        return replace(own, carried=own.carried.moved(motion))

    def look(self, rgb: Tensor, inner: None, own: CloserCarry | None) -> tuple[Tensor, None, CloserCarry]:
        found, _ = self.first.frame(rgb, None)
        grid = self.closer.grid((rgb.shape[2], rgb.shape[3]))
        found = F.interpolate(found, grid, mode="bilinear", align_corners=True)
        past = own or CloserCarry()
        carried, pause = None, past.pause
        if past.small or past.frames % PERIOD == 0 or self._small(found) > SEEN:
            carried, pause = self._closer(rgb, found, past)
            found = self._merge(found, warp(carried.probabilities, carried.way), carried.trust)
            carried = replace(carried, known=False)
        return found.to(rgb.device), None, CloserCarry(past.frames + 1, self._small(found) > SEEN, carried, pause)

    def _closer(self, rgb: Tensor, first: Tensor, past: CloserCarry) -> tuple[Carried, int]:
        """The enlarged scale of a frame, carried or computed, and the frames until it is computed again.

        first  probabilities of this frame at the first scale, enlarged
        """
        carried, pause = past.carried, past.pause
        known = carried is not None and carried.known and carried.way.shape[-2:] == first.shape[-2:]
        before = warp(carried.probabilities, carried.way) if carried is not None and known else None
        if carried is not None and before is not None and carried.age < pause:
            weight = self._weight(first, before)
            if float((weight * (1 - carried.trust)).sum() / weight.sum().clamp_min(1e-6)) <= LOST:
                return carried, pause
        now = self.closer.frame(rgb, None)[0]
        if before is not None:
            agree = self._agreement(now, before, self._weight(first, now))
            pause = min(EVERY, pause + 1) if agree > AGREE else max(1, pause // 2)
        return Carried(now, torch.zeros_like(now[:, :2]), torch.ones_like(now[:, :1])), pause

    def _weight(self, first: Tensor, closer: Tensor) -> Tensor:
        """Where the enlarged scale decides about wanted objects, [1,1,h,w]."""
        seen = torch.maximum(*(p[:, self.things].sum(1, keepdim=True) for p in (first, closer)))
        wanted = torch.maximum(*(p[:, self.wanted].sum(1, keepdim=True) for p in (first, closer)))
        return wanted * F.interpolate(_closeness(_in_cells(seen)), seen.shape[2:], mode="bilinear", align_corners=True)

    def _agreement(self, one: Tensor, two: Tensor, weight: Tensor) -> float:
        """The least soft intersection over union of a wanted object's probabilities; 1 where there are none."""
        ones, twos = one[:, self.wanted] * weight, two[:, self.wanted] * weight
        union = torch.maximum(ones, twos).sum((0, 2, 3))
        there = union > SOME * CELL**2
        shared = torch.minimum(ones, twos).sum((0, 2, 3))[there] / union[there]
        return float(shared.min()) if there.any() else 1.0

    def _small(self, probabilities: Tensor) -> float:
        """The largest probability of a small object anywhere in [1,K,h,w]."""
        things = _in_cells(probabilities[:, self.things].sum(1, keepdim=True))
        return float((things * _closeness(things)).amax())

    def _merge(self, first: Tensor, closer: Tensor, trust: Tensor) -> Tensor:
        """Mix the probabilities of both scales, [1,K,h,w] each -> [1,K,h,w] that sum to 1.

        trust  [1,1,h,w], how far the enlarged scale counts
        """
        seen = torch.maximum(*(p[:, self.things].sum(1, keepdim=True) for p in (first, closer)))
        weight = F.interpolate(_closeness(_in_cells(seen)), first.shape[2:], mode="bilinear", align_corners=True)
        both = torch.lerp(first.clamp_min(1e-4).log(), closer.clamp_min(1e-4).log(), weight * trust).softmax(1)
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
