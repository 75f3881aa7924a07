"""Metrics of stability. Frames are RGB in [0,1]; flow is backward, in px, and not the one that the stabilizer used."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.filters import LUMA
from segnst.flow.warp import warp

BANDS = ("fine", "middle", "coarse")


def luminance(rgb: Tensor) -> Tensor:
    """[B,3,H,W] -> [B,1,H,W] (BT.601)."""
    return (rgb * rgb.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def squared_difference(current: Tensor, previous: Tensor, flow: Tensor) -> Tensor:
    """‖current − W(previous)‖², summed over channels: [1,3,H,W] twice and [1,2,H,W] -> [1,1,H,W]."""
    return (current - warp(previous, flow)).square().sum(1, keepdim=True)


def masked_mean(values: Tensor, mask: Tensor) -> float | None:
    """Mean of [1,1,H,W] where a mask of 0 and 1 is 1; None where the mask is empty."""
    count = mask.sum()
    return float((values * mask).sum() / count) if count > 0 else None


def warping_error(current: Tensor, previous: Tensor, flow: Tensor, valid: Tensor) -> float:
    """E_warp of one pair (Lai 2018): squared difference to the warped previous frame, summed over channels, averaged
    over valid pixels.

    current, previous [1,3,H,W]; flow [1,2,H,W] current -> previous; valid [1,1,H,W]. 0 where nothing is valid.
    """
    return masked_mean(squared_difference(current, previous, flow), valid) or 0.0


def sharpness(rgb: Tensor) -> float:
    """Variance of the Laplacian of the luminance of [1,3,H,W]."""
    kernel = rgb.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    return float(F.conv2d(luminance(rgb), kernel).var())


def _blur(picture: Tensor) -> Tensor:
    taps = picture.new_tensor((1.0, 4, 6, 4, 1)) / 16
    padded = F.pad(picture, (2, 2, 2, 2), mode="replicate")
    return F.conv2d(F.conv2d(padded, taps.view(1, 1, 1, 5)), taps.view(1, 1, 5, 1))


def band_energies(rgb: Tensor) -> tuple[float, ...]:
    """Mean square of three bands of the Laplacian pyramid of the luminance (Burt & Adelson 1983), fine to coarse.

    Each band is the detail that is lost when the picture is blurred by (1 4 6 4 1)/16, halved and enlarged again:
    strokes of about 2 to 4, 4 to 8 and 8 to 16 px. [1,3,H,W] -> ``len(BANDS)`` figures.
    """
    energies, picture = [], luminance(rgb)
    for _ in BANDS:
        smaller = _blur(picture)[..., ::2, ::2]
        # position k of the smaller picture is position 2k of the larger: corners aligned, up to the odd last pixel
        height, width = picture.shape[-2:]
        back = F.interpolate(
            smaller,
            (2 * smaller.shape[-2] - 1, 2 * smaller.shape[-1] - 1),
            mode="bilinear",
            align_corners=True,
        )
        back = F.pad(back, (0, width - back.shape[-1], 0, height - back.shape[-2]), mode="replicate")
        energies.append(float((picture - back).square().mean()))
        picture = smaller
    return tuple(energies)


def mask_flicker(current: Tensor, previous: Tensor, flow: Tensor, reliable: Tensor) -> tuple[float, float] | None:
    """1 − IoU of a mask with its warped predecessor, on reliable pixels; None where both are empty.

    current, previous  soft masks [1,1,H,W] in [0,1]; a pixel is inside where they are above a half

    Returns two figures. For the first, the soft mask is warped before it is thresholded, so that motion by a fraction
    of a pixel does not count as flicker. For the second, the thresholded mask is warped to the nearest pixel, as hard
    masks are.
    """
    now = (current > 0.5).to(current.dtype) * reliable
    figures = []
    for warped in (warp(previous, flow) > 0.5, warp((previous > 0.5).to(previous.dtype), flow, "nearest") > 0.5):
        past = warped.to(current.dtype) * reliable
        union = torch.maximum(past, now).sum()
        if union == 0:
            return None
        figures.append(float(1 - torch.minimum(past, now).sum() / union))
    return figures[0], figures[1]


def mask_iou(found: Tensor, true: Tensor) -> float | None:
    """Intersection over union of two binary masks [1,1,H,W]; None where both are empty."""
    union = torch.maximum(found, true).sum()
    return float(torch.minimum(found, true).sum() / union) if union > 0 else None


def edge_band(layers: Tensor, radius: int = 8) -> Tensor:
    """Pixels within ``radius`` px (in x and in y) of a border between layers.

    One-hot [1,L,H,W] -> [1,1,H,W] of 0 and 1.
    """
    grown = F.max_pool2d(layers, 2 * radius + 1, 1, radius)
    return (grown.sum(1, keepdim=True) > 1).to(layers.dtype)


def excess(error: float | None, floor: float | None, ceiling: float | None) -> float | None:
    """(error − floor) / (ceiling − floor): 0 as steady as the source, 1 as per-frame styling.

    None where the ceiling is less than a tenth above the floor: the quotient then means nothing, and a single value of
    60 would spoil any mean.
    """
    if error is None or floor is None or ceiling is None or ceiling - floor <= max(0.1 * ceiling, 1e-9):
        return None
    return (error - floor) / (ceiling - floor)
