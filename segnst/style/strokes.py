"""Choosing the size of strokes by painting the frame at another scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.filters import box_mean
from segnst.style.transformer import SMALLEST

Found = TypeVar("Found")
WINDOW = 5  # px of the reduced frame, side of the windows in which paint is fitted to the source
FLAT = 1e-3  # variance of luminance below which a window counts as flat, with no edges to follow


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[B,C,H,W] -> [B,C,*size] of the same type, antialiased."""
    if x.device.type == "cpu" and x.dtype != torch.float32:  # torch has no antialiasing of 16 bits on CPUs
        return resize(x.float(), size).to(x.dtype)
    return F.interpolate(x, size, mode="bilinear", antialias=True)


def guided_upsampling(small: Tensor, guide_small: Tensor, guide: Tensor) -> Tensor:
    """Enlarge paint [B,3,h,w] to the size of a guide [B,1,H,W], with the guide's edges.

    After the guided filter (He 2010; arXiv 1505.00996 for its fast form): paint is locally a g + b, with the guide g,
    plus a remainder. a, b and the remainder are enlarged and combined with the large guide, so that no detail of the
    paint is lost.
    """
    size = (guide.shape[-2], guide.shape[-1])
    mean_g, mean_p = box_mean(guide_small, WINDOW), box_mean(small, WINDOW)
    variance = box_mean(guide_small.square(), WINDOW) - mean_g.square()
    a = (box_mean(guide_small * small, WINDOW) - mean_g * mean_p) / (variance.clamp_min(0) + FLAT)
    b = mean_p - a * mean_g
    rest = small - a * guide_small - b
    enlarged = [F.interpolate(x, size, mode="bicubic", align_corners=False) for x in (a, b, rest)]
    return enlarged[0] * guide + enlarged[1] + enlarged[2]


def at_stroke_size(
    paint: Callable[[Tensor, Tensor | None], tuple[Tensor, Found]], rgb: Tensor, soft: Tensor | None, size: float
) -> tuple[Tensor, Found]:
    """Paint a frame [1,3,H,W] with masks [1,L,H,W] so that strokes are ``size`` times as large as the network's.

    Above 1 the frame is reduced, painted, and enlarged along the edges of the source; below 1 it is enlarged, painted
    and reduced. Returns the painted frame and the second result of ``paint``.
    """
    if size == 1:
        return paint(rgb, soft)
    height, width = rgb.shape[-2:]
    other = (max(SMALLEST, round(height / size)), max(SMALLEST, round(width / size)))
    scaled = resize(rgb, other)
    painted, found = paint(scaled, None if soft is None else resize(soft, other))
    if size < 1:
        return resize(painted, (height, width)), found
    gray = rgb.mean(1, keepdim=True)
    return guided_upsampling(painted.float(), scaled.mean(1, keepdim=True), gray), found
