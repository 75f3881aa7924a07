"""The stabilizer: blends each painted frame with the warped last one and keeps it as sharp as it was painted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.filters import box_mean
from segnst.flow.warp import warp
from segnst.types import Motion

Limits = tuple[tuple[float, float], tuple[float, float]]


Carry = TypeVar("Carry")


class Stabilizer(ABC, Generic[Carry]):
    """Removes flicker from painted frames. Generic in its carry: what it keeps of earlier frames."""

    @abstractmethod
    def __call__(self, painted: Tensor, motion: Motion | None, carry: Carry | None) -> tuple[Tensor, Carry]:
        """Painted [1,3,H,W] in [0,1], motion (None where a scene begins) and carry -> steady [1,3,H,W] and carry."""


AnyStabilizer: TypeAlias = Stabilizer[Any]  # for code that only passes the carry on
StabilizerCarry: TypeAlias = Any  # the carry of an ``AnyStabilizer``


CELL = 6  # px; contrast is compared over neighborhoods of about three of these on a side
# px of two box means: the first removes the fine band, and the second removes the middle band from what is left
WINDOWS = (3, 5)


def _bands(picture: Tensor) -> list[Tensor]:
    """The finest bands of [B,3,H,W]: strokes of about 2 to 3 px, and of 4 to 6."""
    bands = []
    for size in WINDOWS:
        mean = box_mean(picture, size)
        bands.append(picture - mean)
        picture = mean
    return bands


def _energy(band: Tensor) -> Tensor:
    """Mean square of [B,3,H,W] over channels and neighborhoods, on a coarse grid: [B,1,h,w].

    Only every second pixel is used, which leaves about 80 in a neighborhood and takes a quarter of the time.
    """
    height, width = band.shape[-2:]
    size = (max(1, height // CELL), max(1, width // CELL))
    return box_mean(F.interpolate(band[..., ::2, ::2].square().mean(1, keepdim=True), size, mode="area"), 3)


def restore_detail(picture: Tensor, painted: Tensor, limits: Limits) -> Tensor:
    """Give each neighborhood of ``picture`` the contrast that ``painted`` has there, band by band.

    Averaging pictures that are slightly misaligned weakens their fine band, and repeated cubic interpolation amplifies
    the middle band; this scales both back, by factors within ``limits``. Both pictures [B,3,H,W]; the energy is taken
    over all channels, so that colors keep their hue.
    """
    result = picture
    for band, wanted, (least, most) in zip(_bands(picture), _bands(painted), limits, strict=True):
        gain = (_energy(wanted) / _energy(band).clamp_min(1e-7)).sqrt().clamp(least, most)
        gain = F.interpolate(gain, picture.shape[-2:], mode="bilinear", align_corners=False)
        result = torch.addcmul(result, gain - 1, band)
    return result


@dataclass(frozen=True, slots=True)
class PaintCarry:
    """The last stabilized frame, and for how many frames each place has been tracked.

    steady    [1,3,H,W]
    followed  [1,1,h,w] at half the size; 1 where only this frame shows the place
    """

    steady: Tensor
    followed: Tensor


@dataclass(frozen=True, slots=True)
class BlendStabilizer(Stabilizer[PaintCarry]):
    """Recursive blending along the flow (Ruder 2016's short-term idea as a post-process), with cubic warping.

    The contrast of each frequency band is kept at that of the paint. The share of the past is that of a running mean,
    (n − 1)/n at the n-th frame of a place, until it reaches ``stability``: a place that was just uncovered has little
    past, and flow is least reliable there.

    stability  share of the past in [0,1] where flow has been fully reliable for many frames
    fine       factor on that share in the finest band. Every warp blurs this band, and detail along the camera's motion
               survives longer than detail across it, which shows as streaks.
    limits     least and most gain of ``restore_detail`` for each band. They apply to every frame, and the gains of
               successive frames multiply.
    """

    stability: float = 0.9
    fine: float = 0.9
    limits: Limits = ((1.0, 1.4), (0.9, 1.1))

    def __call__(self, painted: Tensor, motion: Motion | None, carry: PaintCarry | None) -> tuple[Tensor, PaintCarry]:
        if motion is None or carry is None:
            return painted, PaintCarry(painted, torch.ones_like(painted[:, :1, ::2, ::2]))
        followed = 1 + motion.reliable[..., ::2, ::2] * warp(carry.followed, motion.flow[..., ::2, ::2] / 2)
        mean = F.interpolate(1 - 1 / followed, painted.shape[-2:], mode="bilinear", align_corners=False)
        share = torch.minimum(self.stability * motion.reliable, mean)
        change = warp(carry.steady, motion.flow, "bicubic") - painted
        blended = torch.addcmul(painted, share, torch.lerp(box_mean(change, WINDOWS[0]), change, self.fine))
        # where little is blended there is little to restore
        steady = torch.lerp(painted, restore_detail(blended, painted, self.limits), (4 * share).clamp(max=1))
        steady = steady.clamp(0, 1)
        return steady, PaintCarry(steady, followed)
