"""The size of strokes: a frame is painted at a size of its own, and the paint is enlarged to the frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.filters import box_mean, enlarge
from segnst.pixels import scaled_size
from segnst.style.transformer import SMALLEST

Found = TypeVar("Found")
WORKING = 640  # px of the longer side at which frames are painted, if they are not smaller
WINDOW = 5  # px of the reduced frame, side of the windows in which paint is fitted to the source
FLAT = 1e-3  # variance of luminance below which a window counts as flat, with no edges to follow
# Least share of the source's fine detail in the paint. With less, eyes vanish where paint is even; with more,
# small print on a wall looks like a photo behind the paint.
DETAIL = 0.3


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[B,C,H,W] -> [B,C,*size] of the same type, antialiased."""
    if x.device.type == "cpu" and x.dtype != torch.float32:  # torch has no antialiasing of 16 bits on CPUs
        return resize(x.float(), size).to(x.dtype)
    return F.interpolate(x, size, mode="bilinear", antialias=True)


def guided_upsampling(small: Tensor, guide_small: Tensor, guide: Tensor) -> Tensor:
    """Enlarge paint [1,3,h,w] to the size of a guide [1,1,H,W], with crisp strokes and the guide's edges.

    - Edges of the source, after the guided filter (He 2010; arXiv 1505.00996 for its fast form): paint is locally
      a g + b with the guide g, and a times the detail that g has lost when it was reduced is added to the paint.
    - Edges of strokes, which the source does not have: each pixel is moved towards the darker or the lighter side of
      the edge that it lies on, as far as the paint around it reaches, so that no edge rings.
    """
    size = (guide.shape[-2], guide.shape[-1])
    mean_g, mean_p = box_mean(guide_small, WINDOW), box_mean(small, WINDOW)
    variance = box_mean(guide_small.square(), WINDOW) - mean_g.square()
    a = (box_mean(guide_small * small, WINDOW) - mean_g * mean_p) / (variance.clamp_min(0) + FLAT)
    a += (DETAIL - a.mean(1, keepdim=True)).clamp(0, DETAIL)
    fine = guide - enlarge(guide_small, size, "bicubic")
    low, high = -F.max_pool2d(-small, 3, 1, 1), F.max_pool2d(small, 3, 1, 1)
    result = small.new_empty(1, small.shape[1], *size)
    for k in range(small.shape[1]):  # one channel after another, because large frames need much memory

        def large(x: Tensor, mode: str = "bilinear", k: int = k) -> Tensor:
            return enlarge(x[:, k : k + 1], size, mode)

        bottom, room = large(low), large(high - low)
        at = large(small, "bicubic").sub_(bottom).div_(room.clamp_min(1e-4)).clamp_(0, 1)
        steep = at.square().mul_(at.mul_(-2).add_(3))  # smoothstep: half again as steep in the middle of an edge
        torch.addcmul(bottom, room, steep, out=bottom).addcmul_(large(a), fine)
        result[:, k : k + 1] = bottom
    return result


def working_size(size: tuple[int, ...], stroke_size: float, least: int) -> tuple[int, int]:
    """(H, W) at which a frame of the given (H, W) is painted.

    stroke_size  1 is the strokes of a frame of ``WORKING`` px, or of the frame itself if it is smaller
    least        the smallest height and width that can be painted
    """
    scale = min(1.0, WORKING / max(size)) / stroke_size
    scale = max(scale, min(1.0, least / min(size)))
    return scaled_size(size, scale, least)


def at_stroke_size(
    paint: Callable[[Tensor, Tensor | None], tuple[Tensor, Found]],
    rgb: Tensor,
    soft: Tensor | None,
    size: float,
    least: int = SMALLEST,
) -> tuple[Tensor, Found]:
    """Paint a frame [1,3,H,W] with masks [1,L,H,W] at its working size.

    A frame that is larger than that is reduced, painted, and enlarged along the edges of the source; a smaller one is
    enlarged, painted and reduced. Returns the painted frame and the second result of ``paint``.
    """
    height, width = rgb.shape[-2:]
    other = working_size((height, width), size, least)
    if other == (height, width):
        return paint(rgb, soft)
    scaled = resize(rgb, other)
    painted, found = paint(scaled, None if soft is None else resize(soft, other))
    if other[0] > height:
        return resize(painted, (height, width)), found
    gray = rgb.mean(1, keepdim=True)
    return guided_upsampling(painted.float(), scaled.mean(1, keepdim=True), gray), found
