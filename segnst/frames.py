"""Frames of other programs: NumPy arrays, torch tensors and PIL images, in and out as the same kind.

Inside segnst a picture is float RGB [N,3,H,W] in [0,1] (``segnst.types``). What cannot be understood without
guessing is refused with a sentence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from segnst.errors import UsageError
from segnst.pixels import quantized

if TYPE_CHECKING:
    from PIL.Image import Image

Frame = TypeVar("Frame", bound="np.ndarray | Tensor | Image")
_ROUNDING = 1e-3  # how far outside of [0,1] floats may lie, after the arithmetic of others


@dataclass(frozen=True, slots=True)
class Given:
    """One frame, or several in a batch, as segnst computes with them.

    rgb    [N,3,H,W] float32 in [0,1];  alpha  [N,1,H,W] in [0,1], or None
    back   turns a result of the same shape as ``rgb`` into the kind of frame that was given, with its alpha
    """

    rgb: Tensor
    alpha: Tensor | None
    back: Callable[[Tensor], Any]


def read_frame(frame: Any) -> Given:
    """Understand a frame or a batch of frames.

    NumPy: uint8 [H,W,3] or [N,H,W,3];  torch: uint8 (0 to 255) or float (0 to 1), [3,H,W] or [N,3,H,W], on any device;
    PIL: any mode, which comes back as RGB. A fourth channel, or a PIL image with transparency, is alpha; it is kept.

    Raises UsageError for other types, shapes and ranges.
    """
    if isinstance(frame, Tensor):
        return _torch(frame)
    if isinstance(frame, np.ndarray):
        return _numpy(frame)
    if _is_pil(frame):
        return _pil(frame)
    raise UsageError(
        f"A frame must be a NumPy array, a torch tensor or a PIL image, got {type(frame).__name__}. "
        "For files there is segnst.style_video."
    )


def read_mask(mask: Any, name: str, count: int, size: tuple[int, int]) -> Tensor:
    """Understand the mask of a region for ``count`` frames of ``size`` (H, W) -> [N,H,W] float32 in [0,1].

    [H,W] (for each frame of a batch the same), [N,H,W] or [N,1,H,W]: bool, uint8 (0 to 255) or float (0 to 1), as NumPy
    or torch; or a PIL image, of which the luminance counts. Raises UsageError.
    """
    if _is_pil(mask):
        mask = np.asarray(mask.convert("L"))
    if isinstance(mask, np.ndarray):
        if mask.dtype.kind not in "buif":
            raise UsageError(f"The mask of '{name}' must hold numbers, got {mask.dtype}.")
        mask = torch.from_numpy(np.array(mask))  # a copy, since PIL's arrays may not be written to
    if not isinstance(mask, Tensor):
        raise UsageError(f"The mask of '{name}' must be an array, a tensor or a PIL image, got {type(mask).__name__}.")
    shape = list(mask.shape)
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask[:, 0]
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or tuple(mask.shape[-2:]) != size or mask.shape[0] not in (1, count):
        batch = f", or [{count},{size[0]},{size[1]}] as its batch" if count > 1 else ""
        raise UsageError(f"The mask of '{name}' must be [{size[0]},{size[1]}] as its frame{batch}, got {shape}.")
    values = _unit(mask, f"The mask of '{name}'") if mask.dtype != torch.bool else mask.float()
    return values.expand(count, -1, -1)


def _is_pil(frame: Any) -> bool:
    """Whether this is a PIL image, without importing PIL where nobody uses it."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(frame, pil.Image)


def _unit(values: Tensor, what: str) -> Tensor:
    """Integers of 8 bits or floats -> float32 in [0,1]. Raises UsageError."""
    if values.dtype == torch.uint8:
        return values.float() / 255
    if not values.is_floating_point():
        kind = str(values.dtype).removeprefix("torch.")
        raise UsageError(f"{what} must be uint8 (0 to 255) or float (0 to 1), got {kind}.")
    values = values.detach().float()
    least, most = (float(v) for v in torch.aminmax(values)) if values.numel() else (0.0, 0.0)
    if not (least >= -_ROUNDING and most <= 1 + _ROUNDING):  # NaN is in no range either
        hint = " Divide it by 255, or convert it to uint8." if 1 < most <= 255 and least >= 0 else ""
        raise UsageError(f"{what} must lie between 0 and 1 as float, but its values are {least:g} to {most:g}.{hint}")
    return values.clamp(0, 1)


def _check(channels: int, size: tuple[int, ...], shape: tuple[int, ...], expected: str, hint: str = "") -> None:
    if channels not in (3, 4):
        raise UsageError(f"{expected}, got {list(shape)}.{hint}")
    if not all(size):
        raise UsageError(f"A frame needs at least one pixel, got the shape {list(shape)}.")


def _torch(frame: Tensor) -> Given:
    shape = tuple(frame.shape)
    expected = "A tensor must be [3,H,W] or [N,3,H,W] (4 channels with alpha)"
    if frame.ndim not in (3, 4):
        raise UsageError(f"{expected}, got {list(shape)}.")
    last = shape[-1] in (3, 4) and shape[-3] not in (3, 4)
    order = "(2, 0, 1)" if frame.ndim == 3 else "(0, 3, 1, 2)"
    _check(
        shape[-3], shape, shape, expected, f" Its channels come last; frame.permute{order} brings them first."
        if last else "",
    )  # fmt: skip
    planes = _unit(frame if frame.ndim == 4 else frame[None], "A frame")
    alpha = planes[:, 3:] if planes.shape[1] == 4 else None

    def back(rgb: Tensor) -> Tensor:
        whole = rgb if alpha is None else torch.cat([rgb, alpha.to(rgb)], 1)
        whole = whole if frame.ndim == 4 else whole[0]
        whole = (whole * 255).round() if frame.dtype == torch.uint8 else whole
        return whole.to(frame.device, frame.dtype)

    return Given(planes[:, :3].contiguous(), alpha, back)


def _numpy(frame: np.ndarray) -> Given:
    expected = "An array must be uint8 [H,W,3] or [N,H,W,3] (4 channels with alpha)"
    if frame.ndim not in (3, 4):
        raise UsageError(f"{expected}, got {list(frame.shape)}.")
    if frame.dtype != np.uint8:
        raise UsageError(f"{expected}, got {frame.dtype}. For floats use torch.from_numpy and channels first.")
    first = frame.shape[-3] in (3, 4)
    order = "(1, 2, 0)" if frame.ndim == 3 else "(0, 2, 3, 1)"
    _check(
        frame.shape[-1], frame.shape, frame.shape, expected,
        f" Its channels come first; frame.transpose{order} brings them last." if first else "",
    )  # fmt: skip
    pixels = np.ascontiguousarray(frame if frame.ndim == 4 else frame[None])
    planes = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float() / 255

    def back(rgb: Tensor) -> np.ndarray:
        made = quantized(rgb.cpu().permute(0, 2, 3, 1).numpy())
        if pixels.shape[-1] == 4:
            made = np.concatenate([made, pixels[..., 3:]], -1)
        return made if frame.ndim == 4 else made[0]

    return Given(planes[:, :3].contiguous(), planes[:, 3:] if planes.shape[1] == 4 else None, back)


def _pil(frame: Image) -> Given:
    transparent = "A" in frame.getbands() or "transparency" in frame.info
    kept = frame.convert("RGBA" if transparent else "RGB")
    inner = _numpy(np.asarray(kept))

    def back(rgb: Tensor) -> Image:
        image = sys.modules["PIL.Image"]
        return cast("Image", image.fromarray(inner.back(rgb)))

    return Given(inner.rgb, inner.alpha, back)
