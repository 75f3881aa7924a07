"""Blending with the warped last output at a fixed weight.

Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610, eq. 7) and 2018 (arXiv 1708.04538) penalize the distance to the
warped last frame where the flow is reliable; here the same idea is applied to frames that are already painted. The
minimum of (1 − w)‖x − painted‖² + w c ‖x − warped‖² over x, with the weight of reliable pixels kept at w, is the blend
below.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from segnst.bench.samples import Context, Sample
from segnst.flow.warp import warp

WEIGHT = 0.8  # of the warped last output, where the flow is reliable


def run(samples: Iterator[Sample], context: Context) -> Iterator[Tensor]:
    """Recursive blending with the last output, weight 0.8 where flow is reliable, bilinear (after Ruder 2016)."""
    last: Tensor | None = None
    for sample in samples:
        out, motion = sample.painted, sample.motion
        if last is not None and motion is not None:
            out = torch.lerp(out, warp(last, motion.flow), WEIGHT * motion.reliable)
        yield out
        last = out
