"""The small conversions that every room needs: pixels between bytes and [0,1], sizes, padding, ImageNet's scale."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Mean and standard deviation of ImageNet's RGB values in [0,1], by which torchvision's networks expect their input.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def to_bytes(picture: Tensor) -> np.ndarray:
    """[C,H,W] in [0,1] -> uint8 [H,W,C], or [H,W] -> uint8 [H,W].

    Values outside are cut off. Rounded to the nearest, a half to the even neighbor, as :func:`quantized` does.
    """
    values = (picture.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    pixels: np.ndarray = (values if values.ndim == 2 else values.permute(1, 2, 0)).numpy()
    return pixels


def from_bytes(pixels: np.ndarray) -> Tensor:
    """uint8 [H,W,C] -> float32 [C,H,W] in [0,1]. OpenCV's BGR is given as ``pixels[..., ::-1]``."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / 255


def quantized(values: np.ndarray, *, deep: bool = False) -> np.ndarray:
    """Floats in [0,1] of any shape -> uint8, or uint16 where ``deep``. NaN becomes 0.

    Values outside are cut off. Rounded to the nearest, a half to the even neighbor.
    """
    top = np.float32(65535 if deep else 255)
    codes: np.ndarray = np.rint(np.clip(np.nan_to_num(values), 0.0, 1.0) * top)
    return codes.astype(np.uint16 if deep else np.uint8)


def by_imagenet(rgb: Tensor) -> Tensor:
    """RGB [B,3,H,W] in [0,1] -> the same shape, normalized by ImageNet's mean and standard deviation."""
    mean, std = (torch.tensor(v, device=rgb.device)[None, :, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (rgb - mean) / std


def scaled_size(size: tuple[int, ...], scale: float, least: int = 1) -> tuple[int, int]:
    """(H, W) times ``scale``, rounded, and not below ``least`` on either side."""
    height, width = size
    return max(least, round(height * scale)), max(least, round(width * scale))


def size_within(size: tuple[int, ...], long_side: int, least: int = 1) -> tuple[int, int]:
    """(H, W) reduced so that the longer side measures at most ``long_side`` px; a smaller size stays as it is."""
    return scaled_size(size, min(1.0, long_side / max(size)), least)


def pad_to_multiple(x: Tensor, multiple: int, mode: str = "reflect", least: int = 0) -> Tensor:
    """[B,C,H,W] with rows added below and columns at the right, until both sides are multiples of ``multiple``.

    mode   how the border is continued, as in ``torch.nn.functional.pad``
    least  the smallest size of both sides afterwards; it has to be a multiple itself
    """
    height, width = x.shape[-2:]
    right, below = (max(least - side, -side % multiple) for side in (width, height))
    return F.pad(x, (0, right, 0, below), mode=mode)
