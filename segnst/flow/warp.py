"""Backward warping and the reliability of optical flow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.filters import sample_cubic


def warp(image: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Backward warp: out(p) = image(p + flow(p)), border pixels repeated.

    image [B,C,H,W]; flow [B,2,H,W] in px (x, y); mode "bilinear", "bicubic" (see ``sample_cubic``) or "nearest".
    """
    height, width = image.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None]
    if mode == "bicubic":
        return sample_cubic(image, torch.stack((flow[:, 0] + x, flow[:, 1] + y), 1))
    # align_corners=False counts from the outer edge of the border pixels
    grid = torch.stack(((flow[:, 0] + x + 0.5) * (2 / width) - 1, (flow[:, 1] + y + 0.5) * (2 / height) - 1), -1)
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)


def scaled_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Flow [B,2,H,W] in px of its own size -> [B,2,*size] in px of ``size``."""
    height, width = flow.shape[-2:]
    scale = flow.new_tensor((size[1] / width, size[0] / height)).view(1, 2, 1, 1)
    return F.interpolate(flow, size, mode="bilinear", align_corners=False) * scale


def inside(flow: Tensor) -> Tensor:
    """1 where ``position + flow`` lies within the picture, else 0; [B,2,H,W] -> [B,1,H,W]."""
    height, width = flow.shape[-2:]
    x = flow[:, :1] + torch.arange(width, device=flow.device, dtype=flow.dtype)
    y = flow[:, 1:] + torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None]
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).to(flow.dtype)
