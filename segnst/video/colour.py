"""Between the pixels that codecs hold and float RGB.

All conversion is swscale's, by way of planar float RGB (``gbrpf32le``). That is the one RGB format
it neither dithers on the way out (it does from 16-bit RGB) nor rounds to 8 bits; measured on the
shared clips, YUV to RGB and back leaves a mean square error below 0.02 of an 8-bit step.

Matrix and range are always named: swscale's own guess is BT.601 and limited, whatever the size.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

# FFmpeg's numbers (AVColorSpace, AVColorRange, AVColorTransferCharacteristic, AVColorPrimaries).
SPACE_RGB, SPACE_709, SPACE_UNSPECIFIED, SPACE_FCC = 0, 1, 2, 4
SPACE_470BG, SPACE_170M, SPACE_240M, SPACE_2020, SPACE_2020_CL = 5, 6, 7, 9, 10
RANGE_UNSPECIFIED, RANGE_LIMITED, RANGE_FULL = 0, 1, 2
UNSPECIFIED = 2
TRANSFER_PQ, TRANSFER_HLG = 16, 18

_SWSCALE = {
    SPACE_709: Colorspace.ITU709,
    SPACE_FCC: Colorspace.FCC,
    SPACE_470BG: Colorspace.ITU601,
    SPACE_170M: Colorspace.ITU601,
    SPACE_240M: Colorspace.SMPTE240M,
    SPACE_2020: Colorspace.BT2020,
    SPACE_2020_CL: Colorspace.BT2020,
}

# swscale's white is 255 * 256 of 65535 wherever RGB has more than 8 bits, floats included.
_WHITE = np.float32(65535 / 65280)

# Lanczos for chroma and for pixel aspect; the rest keeps swscale off its 8-bit short cuts.
_QUALITY = (
    Interpolation.LANCZOS
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


@dataclass(frozen=True, slots=True)
class ColourTags:
    """What a stream says of its colours, in FFmpeg's numbers; 2 (range: 0) where it says nothing."""

    matrix: int = SPACE_UNSPECIFIED
    range: int = RANGE_UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def hdr(self) -> bool:
        return self.transfer in (TRANSFER_PQ, TRANSFER_HLG)


def matrix_for(tags: ColourTags, lines: int) -> int:
    """The matrix to calculate with: the tagged one, else BT.709 from 720 stored lines on, else BT.601."""
    if tags.matrix in _SWSCALE:
        return tags.matrix
    return SPACE_709 if lines >= 720 else SPACE_170M


def known_matrix(tags: ColourTags) -> bool:
    """Whether the tagged matrix is one that can be calculated with (or none is tagged)."""
    return tags.matrix in _SWSCALE or tags.matrix in (SPACE_UNSPECIFIED, SPACE_RGB)


def is_full(tags: ColourTags, pixel_format: str) -> bool:
    """Whether code values use the full range (the old ``yuvj`` formats do by definition)."""
    return tags.range == RANGE_FULL or pixel_format.startswith("yuvj")


def has_alpha(frame_format: av.VideoFormat) -> bool:
    """Whether pixels carry an alpha channel (palettes may, and then come out as RGBA)."""
    return frame_format.has_palette or any(part.is_alpha for part in frame_format.components)


def bit_depth(frame_format: av.VideoFormat) -> int:
    """Bits of the deepest component; 8 for palettes."""
    if frame_format.has_palette:
        return 8
    return max((part.bits for part in frame_format.components), default=8)


def _plane(plane: av.video.plane.VideoPlane, width: int, height: int) -> np.ndarray:
    """A float32 plane as ``[height,width]``, a view without the padding of its lines."""
    return np.frombuffer(plane, np.float32).reshape(-1, plane.line_size // 4)[:height, :width]


class ToRGB:
    """Converts decoded frames; keeps swscale's tables between frames. For one thread only."""

    def __init__(self, tags: ColourTags, lines: int, alpha: bool) -> None:
        self._matrix = _SWSCALE[matrix_for(tags, lines)]
        self._tags = tags
        self._alpha = alpha
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
        """Return ``[3,height,width]`` (with alpha ``[4,…]``) float32 in [0,1], RGB(A), not turned."""
        name = frame.format.name
        if frame.format.is_rgb or frame.format.has_palette:
            return self._packed(frame, width, height)
        full = name.startswith("gray") or is_full(self._tags, name)  # swscale takes grey as full, always
        picture = self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format="gbrapf32le" if self._alpha else "gbrpf32le",
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            interpolation=_QUALITY,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        )
        out = np.empty((4 if self._alpha else 3, height, width), np.float32)
        for channel, plane in zip((1, 2, 0, 3), picture.planes, strict=False):  # held as G, B, R, A
            np.multiply(_plane(plane, width, height), _WHITE, out=out[channel])
        return np.clip(out, 0.0, 1.0, out=out)

    def _packed(self, frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
        """RGB stays RGB: swscale would go by way of YUV to a float format."""
        deep = bit_depth(frame.format) > 8
        name = ("rgba64le" if self._alpha else "rgb48le") if deep else ("rgba" if self._alpha else "rgb24")
        picture = self._scaler.reformat(frame, width=width, height=height, format=name, interpolation=_QUALITY)
        pixels = picture.to_ndarray()
        top = np.float32(65535 if deep else 255)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32) / top


class FromRGB:
    """Converts float RGB to what an encoder takes. For one thread only.

    ``size`` is what comes out; ``pad`` columns and rows of it are copies of the last ones.
    """

    def __init__(
        self, pixel_format: str, matrix: int, full: bool, size: tuple[int, int], pad: tuple[int, int]
    ) -> None:
        self._format = pixel_format
        self._rgb = av.VideoFormat(pixel_format).is_rgb
        self._deep = bit_depth(av.VideoFormat(pixel_format)) > 8
        self._matrix = _SWSCALE.get(matrix, Colorspace.ITU709)
        self._full = full
        self._size = size
        self._pad = pad
        self._scaler = VideoReformatter()

    def __call__(self, rgb: np.ndarray) -> av.VideoFrame:
        """``rgb``: ``[3,h,w]`` float32 in [0,1], not turned, of any size."""
        width, height = self._size
        if self._pad != (0, 0):
            inner = (width - self._pad[0], height - self._pad[1])
            if rgb.shape[:0:-1] != inner:
                rgb = np.stack([cv2.resize(np.ascontiguousarray(p), inner, interpolation=cv2.INTER_AREA) for p in rgb])
            rgb = np.pad(rgb, ((0, 0), (0, self._pad[1]), (0, self._pad[0])), mode="edge")
        if self._rgb:
            return self._scaler.reformat(
                packed_frame(rgb, deep=self._deep), width, height, self._format, interpolation=_QUALITY
            )
        return self._scaler.reformat(
            float_frame(rgb),
            width=width,
            height=height,
            format=self._format,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            interpolation=_QUALITY,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if self._full else ColorRange.MPEG,
        )


def float_frame(rgb: np.ndarray) -> av.VideoFrame:
    """``[3,h,w]`` floats, clipped to [0,1], as the ``gbrpf32le`` frame that swscale converts to YUV rightly."""
    _, height, width = rgb.shape
    frame = av.VideoFrame(width, height, "gbrpf32le")
    for channel, plane in zip((1, 2, 0), frame.planes, strict=True):
        # NaN would become an undefined integer further down; black is at least visible.
        target = _plane(plane, width, height)
        np.clip(np.nan_to_num(rgb[channel]), 0.0, 1.0, out=target)
        np.divide(target, _WHITE, out=target)
    return frame


def packed_frame(rgb: np.ndarray, *, deep: bool = False) -> av.VideoFrame:
    """``[3,h,w]`` (``[4,h,w]``) floats in [0,1] as an rgb24 (rgba) frame, or with 16 bits."""
    scaled = np.rint(np.clip(np.nan_to_num(rgb), 0.0, 1.0) * np.float32(65535 if deep else 255))
    pixels = np.ascontiguousarray(scaled.transpose(1, 2, 0).astype(np.uint16 if deep else np.uint8))
    names = ("rgb48le", "rgba64le") if deep else ("rgb24", "rgba")
    return av.VideoFrame.from_ndarray(pixels, names[len(rgb) - 3])
