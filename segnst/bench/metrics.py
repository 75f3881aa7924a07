"""What stability is measured by. Frames RGB in [0,1]; flow backward, in px, never the flow that stabilised."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.flow.base import consistency, motion_boundary
from segnst.flow.warp import inside, warp


def valid_pixels(flow: Tensor, back: Tensor) -> Tensor:
    """1 where an error counts (Lai 2018): forward and backward flow agree, no motion boundary, inside the frame."""
    return consistency(flow, back) * (1 - motion_boundary(flow)) * inside(flow)


def warping_error(current: Tensor, previous: Tensor, flow: Tensor, valid: Tensor) -> float:
    """E_warp of one pair (Lai 2018): mean square difference to the warped last frame, channels summed, valid pixels.

    current, previous [1,3,H,W]; flow [1,2,H,W] current -> previous; valid [1,1,H,W].
    """
    difference = (current - warp(previous, flow)).square().sum(1, keepdim=True)
    return float((valid * difference).sum() / valid.sum().clamp_min(1))


def sharpness(rgb: Tensor) -> float:
    """Variance of the Laplacian of the luminance of [1,3,H,W]."""
    luma = (rgb * rgb.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)).sum(1, keepdim=True)
    kernel = rgb.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    return float(F.conv2d(luma, kernel).var())


def mask_flicker(current: Tensor, previous: Tensor, flow: Tensor, reliable: Tensor) -> float:
    """1 − IoU of a binary mask [1,1,H,W] with its warped predecessor, on reliable pixels; 0 where both are empty."""
    past = warp(previous, flow, "nearest") * reliable
    now = current * reliable
    union = torch.maximum(past, now).sum()
    return float(1 - torch.minimum(past, now).sum() / union) if union > 0 else 0.0
