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


def _blur(x: Tensor, radius: int) -> Tensor:
    """Two box blurs: near enough to a Gaussian, at a constant cost."""
    size = 2 * radius + 1
    for _ in range(2):
        x = F.avg_pool2d(x, size, 1, radius, count_include_pad=False)
    return x


def restore_detail(picture: Tensor, painted: Tensor, limit: float) -> Tensor:
    """Give each neighbourhood of ``picture`` the fine contrast that ``painted`` has there.

    Averaging pictures that are slightly apart takes away their fine band; this scales it back, by at
    most ``limit``. Both [B,3,H,W]; the energy is taken over all channels, so colours keep their hue.
    """
    low = _blur(picture, 1)
    fine = picture - low
    wanted = _blur((painted - _blur(painted, 1)).square().mean(1, keepdim=True), 6)
    have = _blur(fine.square().mean(1, keepdim=True), 6)
    gain = (wanted / have.clamp_min(1e-7)).sqrt().clamp(1.0, limit)
    return low + gain * fine


@dataclass(frozen=True, slots=True)
class BlendStabilizer:
    """Recursive blending along the flow (Ruder 2016's short-term idea as a post-process), cubic warping.

    stability  share of the past in [0,1] where flow is fully reliable
    """

    stability: float = 0.85
    limit: float = 1.35

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
