"""Selected objects through a clip, as a segmenter: what was clicked or drawn on one frame is a region on all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst.flow.base import FlowEstimator, estimate_motion
from segnst.flow.warp import warp
from segnst.pixels import from_bytes, quantized, size_within, to_bytes
from segnst.segmentation.base import Prompt, Selector, frame_by_frame
from segnst.segmentation.networks.deeplab import DeepLabSegmenter
from segnst.segmentation.objects.follow import Follower, Target
from segnst.types import Region

LONG_SIDE = 640  # px; frames are looked at no larger
DOUBT = 0.5  # confidence below which a user should look


@dataclass(frozen=True, slots=True)
class Mark:
    """An object on one frame: parts to cut out (prompts), or its mask [1,1,H,W] in [0,1]."""

    name: str
    frame: int
    prompts: tuple[Prompt, ...] = ()
    mask: Tensor | None = None


@dataclass(frozen=True, slots=True)
class TrackCarry:
    """What the next frame needs: how many were seen, the last one [1,3,h,w], each object's target.

    confidence  of each object, one value a frame, in the order of the regions
    """

    frame: int = 0
    previous: Tensor | None = None
    targets: Mapping[str, Target | None] | None = None
    confidence: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Earlier:
    """An object on a frame before it was first selected: uint8 mask at the working size, and how sure it is."""

    mask: np.ndarray
    confidence: float

    def enlarged(self, size: tuple[int, int]) -> Tensor:
        """Its mask [1,1,H,W] in [0,1] at the frame's size (H, W)."""
        return _enlarge(self.mask.astype(np.float32) / 255, size)


def working_size(height: int, width: int) -> tuple[int, int]:
    """(H, W) of a frame -> the size that it is followed at."""
    return size_within((height, width), LONG_SIDE)


def _picture(rgb: Tensor, size: tuple[int, int]) -> np.ndarray:
    frame = to_bytes(rgb[0])
    if frame.shape[:2] != size:
        frame = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(frame)


def object_regions(marks: Sequence[Mark]) -> tuple[tuple[str, ...], tuple[Region, ...]]:
    """Names of the objects in order, and the regions: the background, then each object."""
    names = tuple(dict.fromkeys(m.name for m in marks))
    return names, (Region(0, "background", ("other",)), *(Region(k, n) for k, n in enumerate(names, 1)))


def doubts(names: Sequence[str], confidence: Sequence[Sequence[float]]) -> list[str]:
    """A warning for each object that was hardly recognized on some frames; confidence: one value an object a frame."""
    notes = []
    for k, name in enumerate(names):
        low = [t for t, values in enumerate(confidence) if values[k] < DOUBT]
        if low:
            notes.append(
                f"'{name}' is doubtful on {len(low)} of {len(confidence)} frames, first on frame {low[0]} (confidence "
                f"{confidence[low[0]][k]:.2f}). Select it again there, for example --box {name}:x,y,w,h@{low[0]}f."
            )
    return notes


class TrackingSegmenter:
    """A :class:`~segnst.segmentation.base.Segmenter` of selected objects: region 0 is the background, then each object.

    marks   the objects on the frames where they were selected; one more of a name on a later frame corrects it
    before  {frame: {name: where it was}} for frames before an object's first mark, from :func:`follow_back`

    rgb [T,3,H,W] -> probabilities [T,1+N,H,W]. On frames of a mark the selector's mask is given as it is.
    """

    name = "selection"

    def __init__(
        self,
        marks: Sequence[Mark],
        selector: Selector,
        guide: DeepLabSegmenter,
        flow: FlowEstimator,
        before: Mapping[int, Mapping[str, Earlier]] | None = None,
    ) -> None:
        self.names, self.regions = object_regions(marks)
        self.marks, self.selector, self.flow = tuple(marks), selector, flow
        self.before = dict(before or {})
        self.follower = Follower(guide)

    def with_marks(self, marks: Sequence[Mark]) -> TrackingSegmenter:
        """The same with other marks."""
        return TrackingSegmenter(marks, self.selector, self.follower.guide, self.flow)

    @torch.inference_mode()
    def __call__(self, rgb: Tensor, carry: TrackCarry | None = None) -> tuple[Tensor, TrackCarry]:
        return frame_by_frame(self._frame, rgb, carry or TrackCarry())

    def after_cut(self, carry: TrackCarry) -> TrackCarry:
        """What holds in the next scene: the count of frames, and what the objects look like, wherever they are."""
        targets = {
            name: None if t is None else replace(t, lost=max(1, t.lost)) for name, t in (carry.targets or {}).items()
        }
        return replace(carry, previous=None, targets=targets)

    def notes(self, carry: TrackCarry | None) -> list[str]:
        """Where an object was hardly recognized or not at all: a warning for each object."""
        return doubts(self.names, carry.confidence if carry else ())

    def _frame(self, rgb: Tensor, carry: TrackCarry) -> tuple[Tensor, TrackCarry]:
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
                targets[name] = self.follower.start(picture, _shrink(drawn[name], size), target)
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
            drawn[name] = _enlarge(target.mask, full) if target is not None else torch.zeros(1, 1, *full)
        confidence = tuple(self._sure(carry.frame, n, targets.get(n)) for n in self.names)
        carry = TrackCarry(carry.frame + 1, small, targets, (*carry.confidence, confidence))
        return shared([drawn[n] for n in self.names]), carry

    def _sure(self, frame: int, name: str, target: Target | None) -> float:
        if target is not None:
            return target.confidence
        earlier = self.before.get(frame, {}).get(name)
        return earlier.confidence if earlier is not None else 0.0

    def cut_out(self, rgb: Tensor, marks: Sequence[Mark]) -> Tensor:
        """The object's soft mask [1,1,H,W] on the frame of its marks: the union of its parts."""
        parts = [m.mask.cpu().float() for m in marks if m.mask is not None]
        parts += [self.selector(rgb, p).cpu() for m in marks for p in m.prompts]
        return torch.stack(parts).amax(0)


def _shrink(mask: Tensor, size: tuple[int, int]) -> np.ndarray:
    return np.ascontiguousarray(cv2.resize(mask[0, 0].numpy(), size[::-1], interpolation=cv2.INTER_AREA))


def _enlarge(mask: np.ndarray, size: tuple[int, int]) -> Tensor:
    if mask.shape != size:
        mask = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(np.ascontiguousarray(mask))[None, None]


def shared(masks: Sequence[Tensor]) -> Tensor:
    """Masks of objects [1,1,H,W] -> probabilities [1,1+N,H,W]; where objects overlap they share the pixel."""
    objects = torch.cat(list(masks), 1)
    objects = objects / objects.sum(1, keepdim=True).clamp_min(1)
    return torch.cat((1 - objects.sum(1, keepdim=True), objects), 1).clamp(0, 1)


class Tracker(Protocol):
    """A segmenter of selected objects: this file's, or one that does the same by a network."""

    name: str
    names: tuple[str, ...]
    regions: tuple[Region, ...]
    marks: tuple[Mark, ...]
    before: dict[int, Mapping[str, Earlier]]

    def with_marks(self, marks: Sequence[Mark]) -> Tracker: ...

    def __call__(self, rgb: Tensor, carry: Any = None) -> tuple[Tensor, Any]: ...


def follow_back(segmenter: Tracker, frames: Sequence[Tensor]) -> dict[int, dict[str, Earlier]]:
    """Follow objects that are first selected on a later frame back to the beginning of the clip.

    frames  uint8 RGB [1,3,H,W], all from the first one to that of the last object's first mark, at any size
    Returns {frame: {name: where it was}} for the frames before each object's first mark.
    """
    found: dict[int, dict[str, Earlier]] = {}
    for name in segmenter.names:
        first = min(m.frame for m in segmenter.marks if m.name == name)
        marks = [replace(m, frame=0) for m in segmenter.marks if m.name == name and m.frame == first]
        if first == 0 or first >= len(frames):
            continue
        back, carry = segmenter.with_marks(marks), None
        for number in range(first, -1, -1):
            masks, carry = back(frames[number].float() / 255, carry)
            if number < first:
                mask = _shrink(masks[:, 1:2].cpu(), working_size(*masks.shape[2:]))
                seen = Earlier(quantized(mask), carry.confidence[-1][0])
                found.setdefault(number, {})[name] = seen
    return found
