"""Helpers to cut out one object on a frame: a window around it, edges that follow the picture, removal of specks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch.nn.functional as F

from segnst.pixels import from_bytes, scaled_size

if TYPE_CHECKING:
    from segnst.segmentation.base import AnySegmenter

Box = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a frame that is resized: columns left…right and rows top…bottom become width x height pixels."""

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int

    @classmethod
    def around(cls, box: Box, frame: tuple[int, int], margin: float, long_side: int) -> Window:
        """The window of a frame (H, W) around ``box``, with a margin on each side of ``margin`` times its long side."""
        x, y, width, height = box
        wide = max(12.0, margin * max(width, height))
        left, top = (int(max(0.0, v - wide)) for v in (x, y))
        right = int(min(frame[1], np.ceil(x + width + wide)))
        bottom = int(min(frame[0], np.ceil(y + height + wide)))
        scale = long_side / max(right - left, bottom - top, 1)
        inner_height, inner_width = scaled_size((bottom - top, right - left), scale, 16)
        return cls(left, top, right, bottom, inner_width, inner_height)

    @property
    def scale(self) -> float:
        """Pixels of the window per pixel of the frame."""
        return self.width / max(1, self.right - self.left)

    def take(self, frame: np.ndarray) -> np.ndarray:
        """Cut the window out of a frame: [H,W] or [H,W,C] -> [height,width] or [height,width,C]."""
        part = frame[self.top : self.bottom, self.left : self.right]
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(part, (self.width, self.height), interpolation=how))

    def put(self, inside: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """Put a window back into a frame: float32 [height,width] -> [H,W], 0 outside of the window."""
        whole = np.zeros(frame, np.float32)
        size = (self.right - self.left, self.bottom - self.top)
        how = cv2.INTER_LINEAR if self.scale < 1 else cv2.INTER_AREA
        whole[self.top : self.bottom, self.left : self.right] = cv2.resize(inside, size, interpolation=how).clip(0, 1)
        return whole


def extent(mask: np.ndarray) -> Box | None:
    """The bounding box of the pixels that are set in ``mask`` [H,W], or None if there are none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    left, top = float(columns[0]), float(rows[0])
    return left, top, float(columns[-1]) + 1 - left, float(rows[-1]) + 1 - top


def class_probabilities(guide: AnySegmenter, picture: np.ndarray) -> np.ndarray:
    """uint8 RGB [H,W,3] -> the guide's probabilities, float32 [K,H,W]."""
    found, _ = guide(from_bytes(picture)[None])
    whole = F.interpolate(found.cpu().float(), picture.shape[:2], mode="bilinear", align_corners=True)
    return np.asarray(whole[0].numpy())


def follow_edges(picture: np.ndarray, mask: np.ndarray, radius: int, smooth: float = 1e-3) -> np.ndarray:
    """Guided filter with a color guide (He 2010, eq. 19): mask float32 [H,W] takes the edges of uint8 RGB [H,W,3].

    ``smooth`` is the variance, of colors in [0,1], below which differences do not count as an edge.
    """
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(x: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.blur(x, size, borderType=cv2.BORDER_REFLECT))

    guide = picture.astype(np.float32) / 255
    mask = mask.astype(np.float32)
    middle, average = mean(guide), mean(mask)
    together = mean(guide * mask[..., None]) - middle * average[..., None]
    rr, rg, rb = (mean(guide[..., 0] * guide[..., k]) - middle[..., 0] * middle[..., k] for k in range(3))
    gg, gb = (mean(guide[..., 1] * guide[..., k]) - middle[..., 1] * middle[..., k] for k in (1, 2))
    bb = mean(guide[..., 2] ** 2) - middle[..., 2] ** 2
    rr, gg, bb = rr + smooth, gg + smooth, bb + smooth
    # the inverse of the symmetric 3x3 covariance, by cofactors
    a, b, c = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    d, e, f = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    x, y, z = together[..., 0], together[..., 1], together[..., 2]
    slope = np.stack((a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z), -1)
    slope /= (rr * a + rg * b + rb * c)[..., None]
    offset = average - (slope * middle).sum(-1)
    return np.asarray(((mean(slope) * guide).sum(-1) + mean(offset)).clip(0, 1).astype(np.float32))


def connected(mask: np.ndarray, seeds: Sequence[np.ndarray], share: float = 0.1) -> np.ndarray:
    """Keep only the main parts of a bool mask [H,W], and fill its small holes.

    A connected part is kept if it touches a seed (bool [H,W]), or if its area is at least ``share`` of the largest
    part's area. With ``share`` above 1, only parts that touch a seed are kept.
    """
    count, parts, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count > 1:
        keep = facts[:, cv2.CC_STAT_AREA] >= share * facts[1:, cv2.CC_STAT_AREA].max()
        for seed in seeds:
            keep[np.unique(parts[seed & mask])] = True
        keep[0] = False
        mask = keep[parts]
    count, holes, facts, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = facts[:, cv2.CC_STAT_AREA] < 0.002 * mask.sum()
    small[0] = False
    return np.asarray(mask | (small[holes] & ~mask))
