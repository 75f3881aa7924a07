"""The stabiliser: each painted frame blended with the warped last one, kept as crisp as it was painted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.flow.warp import warp
from segnst.types import Motion


class Stabilizer(Protocol):
    """(painted [1,3,H,W], motion or None after a cut, carry) -> (steady [1,3,H,W], carry)."""

    def __call__(self, painted: Tensor, motion: Motion | None, carry: Any) -> tuple[Tensor, Any]: ...


CELL = 6  # px; fine contrast is compared over neighbourhoods of about three of these


def _fine(picture: Tensor) -> Tensor:
    """The band of the smallest strokes: what a 3x3 mean takes away."""
    return picture - F.avg_pool2d(picture, 3, 1, 1, count_include_pad=False)


def _energy(fine: Tensor) -> Tensor:
    """Mean square of [B,3,H,W] over channels and neighbourhoods, on a coarse grid: [B,1,h,w]."""
    height, width = fine.shape[-2:]
    size = (max(1, height // CELL), max(1, width // CELL))
    coarse = F.adaptive_avg_pool2d(fine.square().mean(1, keepdim=True), size)
    return F.avg_pool2d(coarse, 3, 1, 1, count_include_pad=False)


def restore_detail(picture: Tensor, painted: Tensor, limit: float) -> Tensor:
    """Give each neighbourhood of ``picture`` the fine contrast that ``painted`` has there.

    Averaging pictures that are slightly apart takes away their fine band; this scales it back, by at
    most ``limit``. Both [B,3,H,W]; the energy is taken over all channels, so colours keep their hue.
    """
    fine = _fine(picture)
    gain = (_energy(_fine(painted)) / _energy(fine).clamp_min(1e-7)).sqrt().clamp(1.0, limit)
    gain = F.interpolate(gain, picture.shape[-2:], mode="bilinear", align_corners=False)
    return picture + (gain - 1) * fine


@dataclass(frozen=True, slots=True)
class BlendStabilizer:
    """Recursive blending along the flow (Ruder 2016's short-term idea as a post-process), cubic warping.

    stability  share of the past in [0,1] where flow is fully reliable
    limit      of ``restore_detail`` a frame: it makes up for one warp, and what is restored is handed on
    """

    stability: float = 0.9
    limit: float = 1.05

    def __call__(self, painted: Tensor, motion: Motion | None, carry: Tensor | None) -> tuple[Tensor, Tensor]:
        if motion is None or carry is None:
            return painted, painted
        share = self.stability * motion.reliable
        past = warp(carry, motion.flow, "bicubic").clamp(0, 1)
        blended = torch.lerp(painted, past, share)
        steady = torch.lerp(painted, restore_detail(blended, painted, self.limit), (share > 0).to(share.dtype)).clamp(
            0, 1
        )
        return steady, steady
