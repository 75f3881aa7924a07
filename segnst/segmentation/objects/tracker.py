"""Base of the trackers of selected objects: marks, masks at the working size, and following back to the first frame."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst.pixels import quantized, size_within
from segnst.segmentation.base import Prompt, Segmenter
from segnst.types import Region

LONG_SIDE = 640  # px, largest long side at which objects are followed
DOUBT = 0.5  # confidence below which the user is warned
Carry = TypeVar("Carry")


@dataclass(frozen=True, slots=True)
class Mark:
    """An object on one frame: parts to cut out (prompts), or its mask [1,1,H,W] in [0,1]."""

    name: str
    frame: int
    prompts: tuple[Prompt, ...] = ()
    mask: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """An object on a frame before its first selection: uint8 mask at the working size, and its confidence in [0,1]."""

    mask: np.ndarray
    confidence: float

    def enlarged(self, size: tuple[int, int]) -> Tensor:
        """Its mask [1,1,H,W] in [0,1] at the frame's size (H, W)."""
        return enlarge(self.mask.astype(np.float32) / 255, size)


def working_size(height: int, width: int) -> tuple[int, int]:
    """(H, W) of a frame -> (h, w) at which its objects are followed."""
    return size_within((height, width), LONG_SIDE)


def object_regions(marks: Sequence[Mark]) -> tuple[tuple[str, ...], tuple[Region, ...]]:
    """Return the names of the objects in order, and the regions: the background, then each object."""
    names = tuple(dict.fromkeys(m.name for m in marks))
    return names, (Region(0, "background", ("other",)), *(Region(k, n) for k, n in enumerate(names, 1)))


def doubts(confidence: Mapping[str, Sequence[float]]) -> list[str]:
    """Return a warning for each object whose confidence is low on some frames.

    confidence  {name: one value in [0,1] per frame}
    """
    notes = []
    for name, values in confidence.items():
        low = [t for t, value in enumerate(values) if value < DOUBT]
        if low:
            notes.append(
                f"'{name}' is doubtful on {len(low)} of {len(values)} frames, first on frame {low[0]} (confidence "
                f"{values[low[0]]:.2f}). Select it again there, for example --box {name}:x,y,w,h@{low[0]}f."
            )
    return notes


def shrink(mask: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Reduce a mask [1,1,H,W] to a size (h, w) -> float32 [h,w]."""
    return np.ascontiguousarray(cv2.resize(mask[0, 0].numpy(), size[::-1], interpolation=cv2.INTER_AREA))


def enlarge(mask: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Enlarge a mask float32 [h,w] to a size (H, W) -> [1,1,H,W]."""
    if mask.shape != size:
        mask = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(np.ascontiguousarray(mask))[None, None]


def shared(masks: Sequence[Tensor]) -> Tensor:
    """Masks of N objects [1,1,H,W] -> probabilities [1,1+N,H,W]. Where objects overlap, they share the pixel."""
    objects = torch.cat(list(masks), 1)
    objects = objects / objects.sum(1, keepdim=True).clamp_min(1)
    return torch.cat((1 - objects.sum(1, keepdim=True), objects), 1).clamp(0, 1)


class Tracker(Segmenter[Carry]):
    """A segmenter of selected objects: region 0 is the background, then each object.

    marks   the objects on the frames where they were selected; another mark of the same name on a later frame corrects
            the object
    before  {frame: {name: where it was}} for frames before an object's first mark, from :func:`follow_back`
    names   names of the objects, in order
    """

    in_order = True

    def __init__(
        self,
        name: str,
        marks: Sequence[Mark],
        before: Mapping[int, Mapping[str, Earlier]] | None = None,
        path: Path | None = None,
    ) -> None:
        self.names, regions = object_regions(marks)
        super().__init__(name, regions, path)
        self.marks, self.before = tuple(marks), dict(before or {})

    @abstractmethod
    def with_marks(self, marks: Sequence[Mark]) -> Tracker[Carry]:
        """Return the same tracker with other marks, and with an empty ``before``."""

    @abstractmethod
    def certainty(self, carry: Carry | None) -> tuple[tuple[float, ...], ...]:
        """The confidence so far: for each frame one value in [0,1] per object, in the order of ``names``."""

    def confidence(self, carry: Carry | None) -> dict[str, tuple[float, ...]]:
        frames = self.certainty(carry)
        return {name: tuple(values[k] for values in frames) for k, name in enumerate(self.names)} if frames else {}

    def notes(self, carry: Carry | None) -> list[str]:
        """Return a warning for each object whose confidence is low on some frames."""
        return doubts(self.confidence(carry))


AnyTracker: TypeAlias = Tracker[Any]  # for code that passes the carry on without reading it


def follow_back(segmenter: Tracker[Carry], frames: Sequence[Tensor]) -> dict[int, dict[str, Earlier]]:
    """Follow objects that are first selected on a later frame backward to the beginning of the clip.

    frames  uint8 RGB [1,3,H,W] of any size: all frames from the first one to the latest first mark of an object

    Returns {frame: {name: where it was}} for the frames before each object's first mark.
    """
    found: dict[int, dict[str, Earlier]] = {}
    for name in segmenter.names:
        first = min(m.frame for m in segmenter.marks if m.name == name)
        marks = [replace(m, frame=0) for m in segmenter.marks if m.name == name and m.frame == first]
        if first == 0 or first >= len(frames):
            continue
        back: Tracker[Carry] = segmenter.with_marks(marks)
        carry: Carry | None = None
        for number in range(first, -1, -1):
            masks, carry = back(frames[number].float() / 255, carry)
            if number < first:
                mask = shrink(masks[:, 1:2].cpu(), working_size(*masks.shape[2:]))
                seen = Earlier(quantized(mask), back.certainty(carry)[-1][0])
                found.setdefault(number, {})[name] = seen
    return found
