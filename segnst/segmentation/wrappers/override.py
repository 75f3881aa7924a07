"""Frames corrected by hand: their masks win there, and say something about the frames beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import InputError
from segnst.flow.base import FlowEstimator, estimate_motion
from segnst.flow.warp import warp
from segnst.masks.indexed_png import read_png
from segnst.masks.label_map import one_object, shows_one_object
from segnst.segmentation.base import Segmenter, after_cut, notes

REACH = 6  # frames before and after a corrected one
FADE = 0.85  # of its say, from one frame to the next


def read_overrides(folder: Path, names: Sequence[str], size: tuple[int, int]) -> dict[int, np.ndarray]:
    """{frame number: label map uint8 [H,W]} from PNGs called as the input's frames, or by number as `segnst segment`
    calls them.

    names  stems of the input's frames, empty for a video;  size  (H, W) of the frames. Masks of 0 and 255 mean region
    1; label maps of another size are scaled. Raises InputError.
    """
    files = sorted(folder.glob("*.png")) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder} is no folder that holds PNGs to override masks with.")
    found: dict[int, np.ndarray] = {}
    for file in files:
        digits = re.fullmatch(r"(?:.*\D)?(\d+)", file.stem)
        if file.stem in names:
            number = names.index(file.stem)
        elif digits and not names:
            number = int(digits[1])
        else:
            raise InputError(f"{file} belongs to no frame: name it as the frame, or by its number (000012.png).")
        labels = read_png(file)
        if abs(labels.shape[1] / labels.shape[0] - size[1] / size[0]) > 0.02:
            raise InputError(
                f"{file} is {labels.shape[1]}x{labels.shape[0]}, the frames are {size[1]}x{size[0]}: another shape."
            )
        if shows_one_object(labels):
            labels = one_object(labels)
        found[number] = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST)
    return found


@dataclass(frozen=True, slots=True)
class Hint:
    """What corrected frames say about one beside them: labels uint8 [h,w] and how far to believe them, [h,w]."""

    labels: np.ndarray
    weight: np.ndarray


def spread(
    overrides: Mapping[int, np.ndarray], frames: Iterable[tuple[int, Tensor]], flow: FlowEstimator
) -> dict[int, Hint]:
    """Carry label maps along the flow to up to ``REACH`` frames on each side; the nearer corrected frame counts.

    frames  (number, RGB [1,3,h,w] in [0,1]) in order, those round the corrected ones
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
                # squared errors decide what is reliable for paint; a label may be a pixel off
                weight = FADE * motion.reliable.sqrt() * warp(weight, motion.flow)
                hint = Hint(label[0, 0].to(torch.uint8).numpy(), weight[0, 0].numpy())
                if now not in hints or hints[now].weight.mean() < hint.weight.mean():
                    hints[now] = hint
                last = now
    return hints


class OverrideSegmenter:
    """Another segmenter, with some frames corrected. The carry is (frames so far, the other's carry)."""

    def __init__(self, inner: Segmenter, overrides: Mapping[int, np.ndarray], hints: Mapping[int, Hint]) -> None:
        self.inner, self.overrides, self.hints = inner, overrides, hints
        self.name, self.regions = inner.name, inner.regions
        self.path = getattr(inner, "path", None)
        count = len(inner.regions)
        for number, labels in overrides.items():
            if labels.max() >= count:
                raise InputError(
                    f"The mask for frame {number} holds the value {labels.max()}; '{self.name}' has {count} regions."
                )

    def __call__(self, rgb: Tensor, carry: Any = None) -> tuple[Tensor, Any]:
        number, inner = carry or (0, None)
        out = []
        for frame in rgb.split(1):  # type: ignore[no-untyped-call]
            probabilities, inner = self.inner(frame, inner)
            if number in self.overrides:
                probabilities = self._exact(self.overrides[number], probabilities)
            elif number in self.hints:
                hint = self.hints[number]
                size = (probabilities.shape[2], probabilities.shape[3])
                exact = self._exact(hint.labels, probabilities)
                exact = F.interpolate(exact, size, mode="bilinear", align_corners=True)
                weight = torch.from_numpy(hint.weight)[None, None].to(exact)
                weight = F.interpolate(weight, size, mode="bilinear", align_corners=True)
                probabilities = torch.lerp(probabilities, exact, weight)
            out.append(probabilities)
            number += 1
        shape = out[0].shape
        out = [p if p.shape == shape else F.interpolate(p, shape[2:], mode="bilinear", align_corners=True) for p in out]
        return torch.cat(out), (number, inner)

    def after_cut(self, carry: tuple[int, Any]) -> tuple[int, Any]:
        return carry[0], after_cut(self.inner, carry[1])

    def notes(self, carry: tuple[int, Any]) -> list[str]:
        return notes(self.inner, carry[1])

    def _exact(self, labels: np.ndarray, like: Tensor) -> Tensor:
        index = torch.from_numpy(labels.astype(np.int64))
        return F.one_hot(index, len(self.regions)).permute(2, 0, 1)[None].to(like)
