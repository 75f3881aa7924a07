"""Spots that stand out of an otherwise even texture; training penalizes them and the benchmark measures them.

A network can manipulate the statistics of instance normalization by one strong local spike, and learns to do so (Karras
2020, arXiv 1912.04958, section 2, for the same in StyleGAN). On plain surfaces the spike shows as a bubble.
"""

from __future__ import annotations

import torch
from torch import Tensor

from segnst.filters import box_mean

SPOT, ROUND = 7, 61  # px: the size of a spot, and of its surroundings
SMOOTH = 0.02  # standard deviation of the source below which a part of a photo counts as smooth


def standing_out(painted: Tensor) -> Tensor:
    """How much each place of a picture [B,3,H,W] differs from its surroundings in luminance: [B,1,H,W]."""
    gray = painted.mean(1, keepdim=True)
    return (box_mean(gray, SPOT) - box_mean(gray, ROUND)).abs()


def smooth_parts(rgb: Tensor) -> Tensor:
    """Where a source [B,3,H,W] is smooth, so that paint should be even there: [B,1,H,W] bool.

    A place with a highlight or an edge in its surroundings is not smooth.
    """
    gray = rgb.mean(1, keepdim=True)
    variance = box_mean(gray.square(), ROUND // 2) - box_mean(gray, ROUND // 2).square()
    return (variance.clamp_min(0).sqrt() < SMOOTH) & (standing_out(rgb) < SMOOTH)


def usual(stands_out: Tensor) -> float:
    """A robust standard deviation of what ``standing_out`` gives: its median over that of a normal distribution."""
    return float(stands_out.median()) / 0.6745


def spots(photos: Tensor, painted: Tensor, least: float = 0.08, spread: float = 4.0) -> Tensor:
    """Mean square of how far places stand out beyond the usual where the photo is smooth, [B]; differentiable.

    Only what exceeds both ``least`` and ``spread`` times the usual deviation counts. Both pictures [B,3,H,W] in [0,1].
    """
    judged, found = smooth_parts(photos), standing_out(painted)
    result = []
    for where, out in zip(judged, found, strict=True):
        places = out[where]
        if places.numel() < 4 * ROUND:
            result.append(out.new_zeros(()))
            continue
        result.append((places - max(least, spread * usual(places.detach()))).clamp_min(0).square().mean())
    return torch.stack(result)
