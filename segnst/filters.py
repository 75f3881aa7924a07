"""Image operations that OpenCV computes several times faster than torch on a CPU; torch computes them elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # Rec. 601


def _picture(x: Tensor) -> np.ndarray:
    """[C,H,W] -> contiguous [H,W,C]."""
    array: np.ndarray = x.permute(1, 2, 0).contiguous().numpy()
    return array


def _tensor(picture: np.ndarray, like: Tensor) -> Tensor:
    """[H,W] or [H,W,C] -> [C,H,W] of the size of ``like``; contiguous, because later operations are faster on it."""
    return torch.from_numpy(picture.reshape(*like.shape[-2:], -1)).permute(2, 0, 1).contiguous()


def _opencv_can(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad


def box_mean(x: Tensor, size: int) -> Tensor:
    """Mean over windows of ``size`` x ``size`` (odd) pixels, the border repeated: [B,C,H,W] -> the same."""
    if _opencv_can(x):
        planes = x.contiguous().flatten(0, 1).numpy()
        result = np.empty_like(planes)
        for plane, into in zip(planes, result, strict=True):
            cv2.blur(plane, (size, size), dst=into, borderType=cv2.BORDER_REPLICATE)
        return torch.from_numpy(result).view(x.shape)
    reach = size // 2
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    # rows, then columns, because torch sums every window from scratch, and the widest in use has 61 x 61 pixels
    return F.avg_pool2d(F.avg_pool2d(padded, (1, size), 1), (size, 1), 1)


def half(x: Tensor) -> Tensor:
    """Mean over 2 x 2 pixels (fewer at an odd edge): [B,C,H,W] -> [B,C,ceil(H/2),ceil(W/2)]."""
    height, width = x.shape[-2:]
    if _opencv_can(x) and height % 2 == 0 and width % 2 == 0:
        planes = x.contiguous().flatten(0, 1).numpy()
        halves = [cv2.resize(p, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for p in planes]
        return torch.from_numpy(np.stack(halves)).view(*x.shape[:2], height // 2, width // 2)
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def enlarge(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Enlarge [B,C,h,w] to [B,C,*size], the border repeated. mode: bilinear or bicubic (a = −0.75)"""
    if not _opencv_can(x):
        return F.interpolate(x, size, mode=mode, align_corners=False)
    how = cv2.INTER_LINEAR if mode == "bilinear" else cv2.INTER_CUBIC
    result = torch.empty(*x.shape[:2], *size)
    for plane, into in zip(x.contiguous().flatten(0, 1).numpy(), result.flatten(0, 1).numpy(), strict=True):
        cv2.resize(plane, size[::-1], dst=into, interpolation=how)
    return result


def sample_cubic(x: Tensor, at: Tensor) -> Tensor:
    """Cubic interpolation (Keys 1981, a = −0.75) at pixel positions, the border repeated.

    x [B,C,H,W]; at [B,2,H,W] (x, y) px, 0 the center of the first pixel -> [B,C,H,W].
    On a CPU positions are rounded to 1/32 px.
    """
    if _opencv_can(x) and x.shape[1] <= 4:  # OpenCV's limit
        sampled = [
            cv2.remap(_picture(p), a[0].numpy(), a[1].numpy(), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            for p, a in zip(x, at.contiguous(), strict=True)
        ]
        return torch.stack([_tensor(s, x) for s in sampled])
    height, width = x.shape[-2:]
    size = at.new_tensor((width, height)).view(1, 2, 1, 1)
    grid = ((at + 0.5) * 2 / size - 1).permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, mode="bicubic", padding_mode="border", align_corners=False)
