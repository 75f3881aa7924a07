"""The values that travel between stages. Frozen; shapes are checked when built.

Inside segnst, all pictures are RGB, float32 in [0, 1], ``[T,3,H,W]``, upright, with square pixels and on the device.
Only ``segnst.video`` converts from and to what video files hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes two seconds to import; nothing here needs it at run time
    from torch import Tensor


def _check(name: str, value: Tensor, *shape: int | str, sizes: dict[str, int]) -> None:
    """Compare ``value.shape`` with ``shape``: ints must match, letters must agree with earlier ones."""
    ok = value.ndim == len(shape)
    for want, have in zip(shape, value.shape, strict=False):
        ok = ok and have == (want if isinstance(want, int) else sizes.setdefault(want, have))
    if not ok:
        raise ValueError(f"{name} must be {list(shape)} with {sizes}, got {list(value.shape)}")


def _shape(value: Tensor) -> str:
    """``float32 [3,2,360,640]``, and the device where it is not the CPU."""
    where = "" if value.device.type == "cpu" else f" on {value.device}"
    return f"{str(value.dtype).removeprefix('torch.')} [{','.join(map(str, value.shape))}]{where}"


@dataclass(frozen=True, slots=True)
class Clip:
    """A run of consecutive frames.

    rgb    [T,3,H,W] float in [0,1]
    pts    T presentation times, in units of ``time_base``, strictly increasing
    time_base  seconds per unit of ``pts``
    alpha  [T,1,H,W] float in [0,1], or None where the source has none
    """

    rgb: Tensor
    pts: tuple[int, ...]
    time_base: Fraction
    alpha: Tensor | None = None

    def __post_init__(self) -> None:
        sizes = {"T": len(self.pts)}
        _check("Clip.rgb", self.rgb, "T", 3, "H", "W", sizes=sizes)
        if self.alpha is not None:
            _check("Clip.alpha", self.alpha, "T", 1, "H", "W", sizes=sizes)

    def __len__(self) -> int:
        return len(self.pts)

    def __repr__(self) -> str:
        """Shapes and times instead of millions of pixel values."""
        times = [f"{float(p * self.time_base):.3f}" for p in (self.pts[0], self.pts[-1])] if self.pts else []
        when = f"{' to '.join(dict.fromkeys(times))} s" if times else "no frames"
        alpha = "" if self.alpha is None else f", alpha {_shape(self.alpha)}"
        return f"Clip(rgb {_shape(self.rgb)}, {when} in units of {self.time_base} s{alpha})"


@dataclass(frozen=True, slots=True)
class Region:
    """Something that a segmenter distinguishes: a class, or one instance of it.

    index     channel in the segmenter's output, and pixel value in its label maps
    name      class name, lower case
    aliases   other accepted names (a vehicle is also called car, bus, truck)
    instance  number of the instance, from 1, or None for the class as a whole
    """

    index: int
    name: str
    aliases: tuple[str, ...] = ()
    instance: int | None = None


@dataclass(frozen=True, slots=True)
class LayerMasks:
    """Probability of each layer at each pixel.

    soft    [T,L,H,W] float in [0,1]; sums to 1 over L
    layers  L names, in the order of the channels
    """

    soft: Tensor
    layers: tuple[str, ...]

    def __post_init__(self) -> None:
        _check("LayerMasks.soft", self.soft, "T", len(self.layers), "H", "W", sizes={})

    def __repr__(self) -> str:
        return f"LayerMasks(soft {_shape(self.soft)}, layers {', '.join(self.layers)})"


@dataclass(frozen=True, slots=True)
class Motion:
    """Where each pixel of frame t was in frame t-1.

    flow      [T,2,H,W] in pixels (x, y), backward: position in t-1 = position in t + flow
    reliable  [T,1,H,W] in [0,1]; 0 where the flow cannot be trusted (occlusion, motion boundary, cut)
    """

    flow: Tensor
    reliable: Tensor

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        _check("Motion.flow", self.flow, "T", 2, "H", "W", sizes=sizes)
        _check("Motion.reliable", self.reliable, "T", 1, "H", "W", sizes=sizes)

    def __repr__(self) -> str:
        return f"Motion(flow {_shape(self.flow)}, reliable {_shape(self.reliable)})"
