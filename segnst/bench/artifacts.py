"""Counts the artifacts that transformer networks leave on plain surfaces: bubbles and grids.

A plain surface should be painted as an even texture. A **bubble** is a spot that stands out from that texture
(segnst.perceptual.spots); a **grid** is a periodic pattern that resize-convolutions leave (Odena 2016).
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.perceptual.spots import ROUND, smooth_parts, standing_out, usual

LEAST, SPREAD = 0.12, 6.0  # how far a bubble stands out: in luminance, and as a multiple of the usual deviation
AREA = 30  # px: the least that a bubble covers
MARGIN = 24  # px at the border that are not judged, because padding leaves artifacts of its own
PERIODS = (2, 4, 8)  # px: the network's strides, and twice those


def plain_pictures(side: int = 320) -> Iterator[tuple[str, Tensor]]:
    """Plain and gradient test pictures [1,3,side,side] by name, with the faint noise of a camera."""
    generator = torch.Generator().manual_seed(11)

    def noise() -> Tensor:
        return 0.004 * torch.randn(1, 3, side, side, generator=generator)

    colors = {
        "white": (0.95, 0.95, 0.95),
        "gray": (0.5, 0.5, 0.5),
        "sky": (0.55, 0.72, 0.92),
        "skin": (0.85, 0.66, 0.55),
    }
    for name, color in colors.items():
        yield name, (torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, side, side) + noise()).clamp(0, 1)
    corners = {
        "sky to haze": ((0.35, 0.55, 0.9), (0.35, 0.55, 0.9), (0.85, 0.9, 0.95), (0.85, 0.9, 0.95)),
        "car door": ((0.9, 0.9, 0.92), (0.75, 0.76, 0.8), (0.6, 0.62, 0.66), (0.92, 0.92, 0.95)),
    }
    for name, values in corners.items():
        grid = torch.tensor(values).view(2, 2, 3).permute(2, 0, 1)[None]
        ramp = F.interpolate(grid, (side, side), mode="bilinear", align_corners=True)
        yield name, (ramp + noise()).clamp(0, 1)


def bubbles(rgb: Tensor, painted: Tensor) -> int:
    """How many spots stand out of the painted picture where the source is smooth; both [1,3,H,W] in [0,1]."""
    judged = smooth_parts(rgb)
    judged[..., :MARGIN, :] = judged[..., -MARGIN:, :] = False
    judged[..., :, :MARGIN] = judged[..., :, -MARGIN:] = False
    if int(judged.sum()) < 4 * ROUND:
        return 0
    found = standing_out(painted)
    spots = (found > max(LEAST, SPREAD * usual(found[judged]))) & judged
    count, _, stats, _ = cv2.connectedComponentsWithStats(spots[0, 0].numpy().astype(np.uint8))
    return int(sum(stats[k, cv2.CC_STAT_AREA] >= AREA for k in range(1, count)))


def grid(painted: Tensor) -> float:
    """How much stronger the spectrum is at the network's periods than next to them: about 1 without a grid.

    painted [1,3,H,W], of a plain source. Returns the largest ratio over periods and both directions.
    """
    gray = painted.mean(1)[0, MARGIN:-MARGIN, MARGIN:-MARGIN]
    side = min(gray.shape) // 16 * 16
    gray = gray[:side, :side] - gray[:side, :side].mean()
    window = torch.hann_window(side)
    power = torch.fft.rfft2(gray * window[:, None] * window[None]).abs().square()
    worst = 0.0
    for spectrum in (power.sum(0), torch.fft.rfft2((gray * window[:, None] * window[None]).t()).abs().square().sum(0)):
        for period in PERIODS:
            at = side // period
            near = [k for k in range(at - 12, at + 13) if abs(k - at) > 3 and 0 < k < len(spectrum)]
            peak = spectrum[max(0, at - 1) : at + 2].max()
            worst = max(worst, float(peak / spectrum[near].median().clamp_min(1e-9)))
    return worst
