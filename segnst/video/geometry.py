"""From stored pixels to upright, square ones and back.

Sizes are ``(width, height)`` in pixels. *Storage* is what the codec holds, *square* the same
picture with square pixels, *upright* the square picture turned the way a player shows it.
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
_SANE_ASPECT = 16  # pixels longer than this are a broken header, not an anamorphic film


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to turn and mirror a picture: transposed first, then flipped."""

    transpose: bool = False
    hflip: bool = False
    vflip: bool = False

    @property
    def trivial(self) -> bool:
        return not (self.transpose or self.hflip or self.vflip)

    def size(self, size: Size) -> Size:
        return (size[1], size[0]) if self.transpose else size

    def upright(self, picture: Tensor) -> Tensor:
        """``[…,h,w]`` as stored to ``[…,H,W]`` as shown."""
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
    """What FFmpeg's display matrix asks for; None where it is no multiple of 90 degrees.

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
    """The EXIF tag 274, 1 to 8, as an orientation (anything else: as stored)."""
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
    """The pixel aspect (width : height of one pixel), 1 where it is unknown or absurd."""
    if not aspect or aspect <= 0 or not Fraction(1, _SANE_ASPECT) <= aspect <= _SANE_ASPECT:
        return Fraction(1)
    return aspect


def square_size(storage: Size, aspect: Fraction) -> Size:
    """The size with square pixels that loses nothing: the short side of the pixel is stretched."""
    width, height = storage
    if aspect >= 1:
        return max(1, round(width * aspect)), height
    return width, max(1, round(height / aspect))


@dataclass(frozen=True, slots=True)
class Geometry:
    """All sizes on the way of a frame through a run.

    storage   as decoded
    square    with square pixels, not turned: what the decoder's scaler makes
    upright   what the networks see
    encoded   what is written, not turned, with the pixel aspect of the input
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
    """Work out the sizes; ``max_size`` bounds the long side of what the networks see.

    A reduced picture keeps the pixel aspect, hence the shape on the screen (to a rounding of one
    pixel). With ``even`` its stored sides are even, which every video codec can hold.
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
            # The long side must not pass max_size because of the rounding to even.
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
    """A display matrix with its translation (in shown pixels) fitted to a reduced picture."""
    if storage == encoded:
        return matrix
    orientation = orientation_of(matrix) or Orientation()
    shown, fitted = orientation.size(storage), orientation.size(encoded)
    values = list(matrix)
    values[6] = round(values[6] * fitted[0] / shown[0])
    values[7] = round(values[7] * fitted[1] / shown[1])
    return tuple(values)
