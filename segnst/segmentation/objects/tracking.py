"""Follows selected objects through a clip: what was clicked or drawn on one frame becomes a region on all frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst.flow.base import FlowEstimator, estimate_motion
from segnst.flow.warp import warp
from segnst.pixels import from_bytes, to_bytes
from segnst.segmentation.base import Selector
from segnst.segmentation.networks.deeplab import DeepLabSegmenter
from segnst.segmentation.objects.follow import Follower, Target
from segnst.segmentation.objects.tracker import Earlier, Mark, Tracker, enlarge, shared, shrink, working_size


@dataclass(frozen=True, slots=True)
class TrackCarry:
    """What the next frame needs to know.

    frame       number of frames so far;  previous  the last frame [1,3,h,w] at the working size
    targets     {name: what is known of the object}
    confidence  for each frame so far one value per object, in the order of the regions
    """

    frame: int = 0
    previous: Tensor | None = None
    targets: Mapping[str, Target | None] | None = None
    confidence: tuple[tuple[float, ...], ...] = ()


def _picture(rgb: Tensor, size: tuple[int, int]) -> np.ndarray:
    frame = to_bytes(rgb[0])
    if frame.shape[:2] != size:
        frame = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(frame)


class TrackingSegmenter(Tracker[TrackCarry]):
    """A tracker that uses optical flow and the appearance of the objects (:class:`Follower`).

    rgb [T,3,H,W] -> probabilities [T,1+N,H,W]. On the frames of marks, the selector's mask is returned unchanged.
    ``marks`` and ``before`` are described at :class:`Tracker`.
    """

    def __init__(
        self,
        marks: Sequence[Mark],
        selector: Selector,
        guide: DeepLabSegmenter,
        flow: FlowEstimator,
        before: Mapping[int, Mapping[str, Earlier]] | None = None,
    ) -> None:
        super().__init__("selection", marks, before)
        self.selector, self.flow = selector, flow
        self.follower = Follower(guide)

    def with_marks(self, marks: Sequence[Mark]) -> TrackingSegmenter:
        return TrackingSegmenter(marks, self.selector, self.follower.guide, self.flow)

    def after_cut(self, carry: TrackCarry | None) -> TrackCarry | None:
        """Keep the count of frames and the appearance of the objects, which are searched for in the new scene."""
        if carry is None:
            return None
        targets = {
            name: None if t is None else replace(t, lost=max(1, t.lost)) for name, t in (carry.targets or {}).items()
        }
        return replace(carry, previous=None, targets=targets)

    def certainty(self, carry: TrackCarry | None) -> tuple[tuple[float, ...], ...]:
        return carry.confidence if carry else ()

    @property
    def weights(self) -> dict[str, Path]:
        return {**self.selector.weights, **self.follower.guide.weights}

    def frame(self, rgb: Tensor, carry: TrackCarry | None) -> tuple[Tensor, TrackCarry]:
        carry = carry or TrackCarry()
        full = (rgb.shape[2], rgb.shape[3])
        size = working_size(*full)
        picture = _picture(rgb, size)
        small = from_bytes(picture)[None]
        motion = estimate_motion(self.flow, small, carry.previous) if carry.previous is not None else None
        targets = dict(carry.targets or {})
        drawn: dict[str, Tensor] = {}
        for name in self.names:
            marks = [m for m in self.marks if m.name == name and m.frame == carry.frame]
            target = targets.get(name)
            if marks:
                drawn[name] = self.cut_out(rgb, marks)
                targets[name] = self.follower.start(picture, shrink(drawn[name], size), target)
                continue
            if name in self.before.get(carry.frame, {}):
                drawn[name] = self.before[carry.frame][name].enlarged(full)
                continue
            if target is not None:
                moved, reliable = target.mask, None
                if motion is not None:
                    moved = warp(torch.from_numpy(moved)[None, None], motion.flow, "bicubic")[0, 0].clamp(0, 1).numpy()
                    reliable = motion.reliable[0, 0].numpy()
                target = targets[name] = self.follower.follow(picture, moved, reliable, target)
            drawn[name] = enlarge(target.mask, full) if target is not None else torch.zeros(1, 1, *full)
        confidence = tuple(self._sure(carry.frame, n, targets.get(n)) for n in self.names)
        carry = TrackCarry(carry.frame + 1, small, targets, (*carry.confidence, confidence))
        return shared([drawn[n] for n in self.names]).to(rgb.device), carry

    def _sure(self, frame: int, name: str, target: Target | None) -> float:
        if target is not None:
            return target.confidence
        earlier = self.before.get(frame, {}).get(name)
        return earlier.confidence if earlier is not None else 0.0

    def cut_out(self, rgb: Tensor, marks: Sequence[Mark]) -> Tensor:
        """The object's soft mask [1,1,H,W] on the frame of its marks, which is the union of its parts."""
        parts = [m.mask.cpu().float() for m in marks if m.mask is not None]
        parts += [self.selector(rgb, p).cpu() for m in marks for p in m.prompts]
        return torch.stack(parts).amax(0)
