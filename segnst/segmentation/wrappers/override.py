"""Frames corrected by hand: their masks replace those of a segmenter, and also influence the neighboring frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import InputError
from segnst.flow.base import FlowEstimator, estimate_motion
from segnst.flow.warp import warp
from segnst.masks.indexed_png import read_png
from segnst.masks.label_map import IGNORE, fits, one_object, shows_one_object
from segnst.segmentation.alignment import Run, numbers
from segnst.segmentation.base import Segmenter
from segnst.segmentation.wrapped import Wrapped
from segnst.untrusted import is_folder

REACH = 6  # number of frames before and after a corrected frame that it influences
FADE = 0.85  # factor by which this influence decreases from one frame to the next
FIRST = 255  # in a mask of 0 and 255: the first region of the segmenter in use, whatever a plan has selected
SEEN = 0.25  # probability above which a pixel counts as showing an object
MOST = 1 << 25  # largest number of values in the probabilities of a frame, 128 MB; nine classes at 1080p: 19 million

Inner = TypeVar("Inner")


def read_overrides(
    folder: Path,
    size: tuple[int, int],
    run: Run = Run(),  # noqa: B008 - frozen
) -> dict[int, np.ndarray]:
    """{frame of the run: label map uint8 [H,W]} from PNGs called as the input's frames, or by number as `segnst
    segment` calls them. Those of frames before or behind the run are left out.

    size  (H, W) of the frames. Masks of black and white mean the first region and have the value 255 (``FIRST``);
    label maps of another size are scaled. Raises InputError.
    """
    files = sorted(folder.glob("*.png")) if is_folder(folder) else []
    if not files:
        raise InputError(f"{folder} is no folder that holds PNGs to override masks with.")
    found: dict[int, np.ndarray] = {}
    for file in files:
        digits = numbers([file])
        if file.stem in run.stems:
            number = run.stems.index(file.stem) - run.first
        elif digits and not run.stems:
            number = digits[0] - run.first
        else:
            raise InputError(f"{file} belongs to no frame: name it as the frame, or by its number (000012.png).")
        behind = run.count is not None and number >= run.count
        if number < 0 or (behind and number + run.first < len(run.times)):
            continue
        labels = read_png(file)
        if not fits((labels.shape[0], labels.shape[1]), size):
            raise InputError(
                f"{file} is {labels.shape[1]}x{labels.shape[0]}, the frames are {size[1]}x{size[0]}: another shape."
            )
        if shows_one_object(labels):
            labels = FIRST * one_object(labels)
        if labels.max() > IGNORE:
            raise InputError(f"{file} holds the value {labels.max()}; label maps have values up to {IGNORE}.")
        found[number] = cv2.resize(labels.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    return found


@dataclass(frozen=True, slots=True)
class Hint:
    """What a corrected frame says about a neighboring frame: labels uint8 [h,w] and their weight [h,w] in [0,1]."""

    labels: np.ndarray
    weight: np.ndarray


def spread(
    overrides: Mapping[int, np.ndarray], frames: Iterable[tuple[int, Tensor]], flow: FlowEstimator
) -> dict[int, Hint]:
    """Warp label maps along the optical flow to up to ``REACH`` frames on each side.

    Where two corrected frames reach the same frame, the hint with the larger mean weight is kept.

    frames  (number, RGB [1,3,h,w] in [0,1]) in order: the corrected frames and their neighbors

    Raises InputError for the number of a frame that the input does not have.
    """
    hints: dict[int, Hint] = {}
    kept = dict(frames)
    for number, labels in overrides.items():
        if number not in kept:
            raise InputError(f"There is no frame {number} to override: the input ends before it.")
        for step in (1, -1):
            size = (kept[number].shape[2], kept[number].shape[3])
            small = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST)
            label, weight = (torch.from_numpy(x)[None, None].float() for x in (small, np.ones(size, np.float32)))
            last = number
            while abs(last - number) < REACH and (last + step) in kept and (last + step) not in overrides:
                now = last + step
                motion = estimate_motion(flow, kept[now], kept[last])
                label = warp(label, motion.flow, "nearest")
                # Reliability is strict, because it is meant for blending paint, where a small misplacement is visible.
                # A label may be a pixel off, so the square root softens it.
                weight = FADE * motion.reliable.sqrt() * warp(weight, motion.flow)
                hint = Hint(label[0, 0].to(torch.uint8).numpy(), weight[0, 0].numpy())
                if now not in hints or hints[now].weight.mean() < hint.weight.mean():
                    hints[now] = hint
                last = now
    return hints


class OverrideSegmenter(Wrapped[Inner, int], Generic[Inner]):
    """Wraps a segmenter and corrects some of its frames. The wrapper's own carry is the number of frames so far.

    overrides  {frame number: label map uint8 [H,W]}, at the size of the frames
    hints      {frame number: what the corrected frames say about it}

    The values of label maps are indices of regions of ``inner`` before any selection, so that a label map means the
    same under every plan; ``channels`` maps them to the channels after :meth:`select`. The probabilities have the size
    of the frames, so that the drawn edges are kept. With many regions or large frames they are smaller (``MOST``), but
    never smaller than those of ``inner``. Raises InputError for a value that is not a region.
    """

    def __init__(
        self,
        inner: Segmenter[Inner],
        overrides: Mapping[int, np.ndarray],
        hints: Mapping[int, Hint],
        count: int | None = None,
    ) -> None:
        super().__init__(inner)
        self.overrides, self.hints = overrides, hints
        self.count = len(inner.regions) if count is None else count  # of regions before a selection
        for number, labels in overrides.items():
            highest = int(labels.max())
            if highest == FIRST and shows_one_object(labels):
                highest = 1
            if highest >= self.count:
                raise InputError(
                    f"The mask for frame {number} holds the value {highest}; '{self.name}' has {self.count} regions."
                )

    def around(self, inner: Segmenter[Inner]) -> OverrideSegmenter[Inner]:
        return OverrideSegmenter(inner, self.overrides, self.hints, self.count)

    def own_skip(self, own: int | None) -> int:
        return (own or 0) + 1

    def own_after_cut(self, own: int | None) -> int | None:
        """Frames are counted on across scene cuts."""
        return own

    def look(self, rgb: Tensor, inner: Inner | None, own: int | None) -> tuple[Tensor, Inner | None, int]:
        number = own or 0
        found, inner = self.inner.frame(rgb, inner)
        found = _resized(found, _answer_size(found, (rgb.shape[2], rgb.shape[3])))
        if number in self.overrides:
            found = self._exact(self.overrides[number], found)
        elif number in self.hints:
            hint = self.hints[number]
            weight = torch.from_numpy(hint.weight)[None, None].to(found)
            size = (found.shape[2], found.shape[3])
            found = torch.lerp(found, self._exact(hint.labels, found), _resized(weight, size))
        return found, inner, number + 1

    def _exact(self, labels: np.ndarray, seen: Tensor) -> Tensor:
        """Label map [H,W] -> probabilities [1,K,h,w] of 0 and 1, at the size of the segmenter's own, ``seen``."""
        index = torch.from_numpy(self._assigned(labels, seen).astype(np.int64)).to(seen.device)
        exact = F.one_hot(index, len(self.regions)).permute(2, 0, 1)[None].to(seen)
        return _resized(exact, (seen.shape[2], seen.shape[3]))

    def _assigned(self, labels: np.ndarray, seen: Tensor) -> np.ndarray:
        """Label map of regions before the selection -> label map of channels after it, both uint8 [H,W].

        Several channels can share a region (``person:1`` and ``person:2`` are both people). Then a pixel goes to the
        channel that the segmenter sees there. Where it sees none of them, the pixel goes to the channel that it sees
        most of in the same connected part, and if it sees none in the whole part, to the first of ``channels``.
        """
        out = labels.copy()
        for value in np.unique(labels).tolist():
            if value == FIRST:
                out[labels == FIRST] = 1
                continue
            places = self.inner.channels(value)
            here = labels == value
            out[here] = places[0]
            if len(places) == 1:
                continue
            rivals = _resized(seen[:, list(places)], labels.shape)[0].float().cpu().numpy()
            channels = np.array(places, np.uint8)
            count, parts = cv2.connectedComponents(here.astype(np.uint8))
            for part in range(1, count):
                area = parts == part
                shares = rivals[:, area]
                most = shares.sum(1) if (shares > SEEN).any() else np.eye(len(places))[0]
                out[area] = np.where(shares.max(0) > SEEN, channels[shares.argmax(0)], channels[most.argmax()])
        return out


def _answer_size(found: Tensor, frame: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the probabilities for frames of (H, W): the same size, unless that exceeds ``MOST`` values."""
    scale = min(1.0, (MOST / (found.shape[1] * frame[0] * frame[1])) ** 0.5)
    return max(found.shape[2], round(scale * frame[0])), max(found.shape[3], round(scale * frame[1]))


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize [1,C,h,w] with aligned corners; by area averaging if neither side grows."""
    if (x.shape[2], x.shape[3]) == size:
        return x
    if x.shape[2] >= size[0] and x.shape[3] >= size[1]:
        return F.interpolate(x, size, mode="area")
    return F.interpolate(x, size, mode="bilinear", align_corners=True)
