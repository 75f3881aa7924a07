"""Blending with the previous and the next frame, weighted by how similar the input is.

This is the local part of Shekhar, Reimann et al. 2023, "Interactive Control over Temporal Consistency while Stylizing
Video Streams" (arXiv 2301.00750, doi 10.1111/cgf.14891). The weights are those of Bonneel 2015's and Lai 2018's
visibility, exp(−α‖ΔI‖²).

With W the warp to frame t, I the input, P per-frame styling, O the output, and c a color channel:

    w_p = min(exp(−α (I_t − W I_{t−1})_c²), 0.45)    w_n = min(exp(−α (I_t − W I_{t+1})_c²), 0.3)
    A_t = w_p W P_{t−1} + w_n W P_{t+1} + (1 − w_p − w_n) P_t
    O_t = w_p W O_{t−1} + (1 − w_p) A_t

α and the bounds are those of the authors' published program. Its last step, which moves O towards P's gradients
(150 iterations a frame), is left out: this baseline is the local blending alone. Weights below 0.001 are set to 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from segnst.bench.samples import Context, Sample
from segnst.flow.base import estimate_motion
from segnst.flow.warp import warp

ALPHA = 6800.0  # for RGB in [0,1]
MOST_PREVIOUS, MOST_NEXT = 0.45, 0.3


def _weight(now: Tensor, warped: Tensor, most: float) -> Tensor:
    weight = torch.exp(-ALPHA * (now - warped).square())
    return torch.where(weight < 1e-3, 0.0, weight.clamp(max=most))


def run(samples: Iterator[Sample], context: Context) -> Iterator[Tensor]:
    """Blending with last and next frame by exp(−α·Δinput²), one frame of delay, bilinear (after Shekhar 2023)."""
    current = next(samples, None)
    previous: tuple[Sample, Tensor] | None = None  # and its output
    while current is not None:
        following = next(samples, None)
        rgb, painted = current.rgb, current.painted
        out, back, last = painted, torch.zeros_like(rgb), painted
        if previous is not None and current.motion is not None:
            flow = current.motion.flow
            back = _weight(rgb, warp(previous[0].rgb, flow), MOST_PREVIOUS)
            out = out + back * (warp(previous[0].painted, flow) - painted)
            last = warp(previous[1], flow)
        if following is not None and not following.cut:
            ahead = estimate_motion(context.flow, rgb, following.rgb).flow
            weight = _weight(rgb, warp(following.rgb, ahead), MOST_NEXT)
            out = out + weight * (warp(following.painted, ahead) - painted)
        out = torch.lerp(out, last, back)
        yield out
        previous, current = (current, out), following
