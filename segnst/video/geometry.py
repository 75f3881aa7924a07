"""Convert between the stored picture and the upright picture with square pixels.

Sizes are ``(width, height)`` in pixels. *Storage* is the picture as the codec stores it, *square* the same picture with
square pixels, *upright* the square picture rotated as a player shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Size = tuple[int, int]
Matrix = tuple[int, ...]

_ONE = 1 << 16  # 1.0 in the 16.16 numbers of a display matrix
_SANE_ASPECT = 16  # larger ratios come from broken headers, not from anamorphic films


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to rotate and mirror a picture: first transposed, then flipped."""

    transpose: bool = False
    hflip: bool = False
    vflip: bool = False

    def size(self, size: Size) -> Size:
        return (size[1], size[0]) if self.transpose else size

    def upright(self, picture: Tensor) -> Tensor:
        """Convert ``[…,h,w]`` as stored to ``[…,H,W]`` as shown."""
        if self.transpose:
            picture = picture.transpose(-1, -2)
        axes = [axis for axis, flip in ((-1, self.hflip), (-2, self.vflip)) if flip]
        return picture.flip(axes) if axes else picture

    def stored(self, picture: Tensor) -> Tensor:
        """The inverse of :meth:`upright`."""
        axes = [axis for axis, flip in ((-1, self.hflip), (-2, self.vflip)) if flip]
        if axes:
            picture = picture.flip(axes)
        return picture.transpose(-1, -2) if self.transpose else picture


def orientation_of(matrix: Matrix | None) -> Orientation | None:
    """The orientation for FFmpeg's display matrix; None if its angle is not a multiple of 90 degrees.

    The matrix maps stored to shown coordinates: ``x' = a x + c y``, ``y' = b x + d y``.
    """
    if matrix is None:
        return Orientation()
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    slack = _ONE >> 8
    if abs(b) <= slack and abs(c) <= slack and abs(a) > slack and abs(d) > slack:
        return Orientation(False, a < 0, d < 0)
    if abs(a) <= slack and abs(d) <= slack and abs(b) > slack and abs(c) > slack:
        return Orientation(True, c < 0, b < 0)
    return None


def exif_orientation(value: int) -> Orientation:
    """The orientation for a value of EXIF tag 274, 1 to 8; other values mean "as stored"."""
    return {
        2: Orientation(hflip=True),
        3: Orientation(hflip=True, vflip=True),
        4: Orientation(vflip=True),
        5: Orientation(transpose=True),
        6: Orientation(transpose=True, hflip=True),
        7: Orientation(transpose=True, hflip=True, vflip=True),
        8: Orientation(transpose=True, vflip=True),
    }.get(value, Orientation())


def sane_aspect(aspect: Fraction | None) -> Fraction:
    """The pixel aspect ratio (width : height of one pixel), or 1 if it is unknown or implausible."""
    if not aspect or aspect <= 0 or not Fraction(1, _SANE_ASPECT) <= aspect <= _SANE_ASPECT:
        return Fraction(1)
    return aspect


def square_size(storage: Size, aspect: Fraction) -> Size:
    """The size with square pixels. The picture is enlarged along the shorter side of its pixels, to keep all detail."""
    width, height = storage
    if aspect >= 1:
        return max(1, round(width * aspect)), height
    return width, max(1, round(height / aspect))


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes of a frame at each stage of processing.

    storage      as decoded
    square       with square pixels, in the stored orientation: the result of resizing a decoded frame
    upright      the input of the networks
    encoded      as written, in the stored orientation, with the pixel aspect ratio of the input
    orientation  from stored to upright
    aspect       pixel aspect ratio (width : height) of the input
    """

    storage: Size
    square: Size
    upright: Size
    encoded: Size
    orientation: Orientation
    aspect: Fraction


def plan_geometry(
    storage: Size, aspect: Fraction, orientation: Orientation, max_size: int | None, *, even: bool
) -> Geometry:
    """Calculate all sizes. ``max_size`` limits the longer side of the input of the networks.

    A reduced picture keeps its pixel aspect ratio, and so its shape on the screen (up to rounding by one pixel). With
    ``even``, its stored sides are even, which every video codec supports.
    """
    square = square_size(storage, aspect)
    encoded = storage
    if max_size is not None and max(square) > max_size:
        scale = Fraction(max_size, max(square))

        def reduced(side: int) -> int:
            if even:
                return max(2, 2 * round(side * scale / 2))
            return max(1, round(side * scale))

        encoded = (reduced(storage[0]), reduced(storage[1]))
        if aspect == 1:
            # Rounding to even numbers must not make the longer side exceed max_size.
            step = 2 if even else 1
            encoded = (
                encoded[0] - (step if encoded[0] > max_size and encoded[0] > step else 0),
                encoded[1] - (step if encoded[1] > max_size and encoded[1] > step else 0),
            )
            square = encoded
        else:
            square = (max(1, round(square[0] * scale)), max(1, round(square[1] * scale)))
    return Geometry(storage, square, orientation.size(square), encoded, orientation, aspect)


def scaled_matrix(matrix: Matrix, storage: Size, encoded: Size) -> Matrix:
    """A display matrix whose translation (in pixels as shown) is scaled to a reduced picture."""
    if storage == encoded:
        return matrix
    orientation = orientation_of(matrix) or Orientation()
    shown, fitted = orientation.size(storage), orientation.size(encoded)
    values = list(matrix)
    values[6] = round(values[6] * fitted[0] / shown[0])
    values[7] = round(values[7] * fitted[1] / shown[1])
    return tuple(values)
