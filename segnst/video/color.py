"""Convert between the pixel formats of codecs and float RGB.

YUV is converted here and not by swscale, whose measured errors are visible in sum: for RGB with more
than 8 bits its white is 65280 instead of 65535 (an error of 0.5 of 255), it truncates when ranges differ
(1.6 of 255 for full-range white), it dithers from 16 to 8 bits, and it returns garbage for rgb48 with
bilinear filtering. The formulas here are exact up to rounding.

Subsampled chroma is taken to be sited left, which is the default of MPEG-2, H.264 and HEVC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from segnst.pixels import quantized

# FFmpeg's numbers (AVColorSpace, AVColorRange, AVColorTransferCharacteristic, AVColorPrimaries).
SPACE_RGB, SPACE_709, SPACE_UNSPECIFIED, SPACE_FCC = 0, 1, 2, 4
SPACE_470BG, SPACE_170M, SPACE_240M, SPACE_2020, SPACE_2020_CL = 5, 6, 7, 9, 10
RANGE_UNSPECIFIED, RANGE_LIMITED, RANGE_FULL = 0, 1, 2
UNSPECIFIED = 2
TRANSFER_PQ, TRANSFER_HLG = 16, 18

# The weights of red and blue in luma, by FFmpeg's number for the color matrix.
WEIGHTS = {
    SPACE_709: (0.2126, 0.0722),
    SPACE_FCC: (0.30, 0.11),
    SPACE_470BG: (0.299, 0.114),
    SPACE_170M: (0.299, 0.114),
    SPACE_240M: (0.212, 0.087),
    SPACE_2020: (0.2627, 0.0593),
    SPACE_2020_CL: (0.2627, 0.0593),
}

# swscale first unpacks packed and rare formats. It never converts between YUV and RGB.
_QUALITY = (
    Interpolation.LANCZOS | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
# Interleaved formats, and the planar formats with exactly the same samples.
_SAME_SAMPLES = {
    "nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "p010le": "yuv420p10le", "p210le": "yuv422p10le",
    "yuyv422": "yuv422p", "uyvy422": "yuv422p", "yvyu422": "yuv422p",
}  # fmt: skip
_PLANAR = re.compile(r"yuvj?(a?)(420|422|444)p(\d*)(?:le)?")


@dataclass(frozen=True, slots=True)
class ColorTags:
    """The color tags of a stream, as FFmpeg's numbers; 2 (for the range: 0) means unspecified."""

    matrix: int = SPACE_UNSPECIFIED
    range: int = RANGE_UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def hdr(self) -> bool:
        return self.transfer in (TRANSFER_PQ, TRANSFER_HLG)


def matrix_for(tags: ColorTags, lines: int) -> int:
    """The color matrix to use: the tagged one, else BT.709 for 720 or more stored lines, else BT.601."""
    if tags.matrix in WEIGHTS:
        return tags.matrix
    return SPACE_709 if lines >= 720 else SPACE_170M


def known_matrix(tags: ColorTags) -> bool:
    """Whether the tagged color matrix is supported, or none is tagged."""
    return tags.matrix in WEIGHTS or tags.matrix in (SPACE_UNSPECIFIED, SPACE_RGB)


def is_full(tags: ColorTags, pixel_format: str) -> bool:
    """Whether samples use the full range (those of the old ``yuvj`` formats always do)."""
    return tags.range == RANGE_FULL or pixel_format.startswith("yuvj")


def has_alpha(frame_format: av.VideoFormat) -> bool:
    """Whether pixels can have an alpha channel (palettes can, and are converted to RGBA)."""
    return frame_format.has_palette or any(part.is_alpha for part in frame_format.components)


def bit_depth(frame_format: av.VideoFormat) -> int:
    """Bits of the deepest component; 8 for palettes."""
    if frame_format.has_palette:
        return 8
    return max((part.bits for part in frame_format.components), default=8)


class ToRGB:
    """Converts decoded frames to float RGB or RGBA. Not thread-safe."""

    def __init__(self, tags: ColorTags, lines: int, alpha: bool) -> None:
        self._weights = WEIGHTS[matrix_for(tags, lines)]
        self._tags = tags
        self._alpha = alpha
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
        """Convert to float32 RGB ``[3,height,width]``, or RGBA ``[4,…]``, in [0,1], in the stored orientation."""
        form = frame.format
        if form.is_rgb or form.has_palette or form.name.startswith("ya"):
            out = self._packed(frame)
        elif form.name.startswith("gray"):
            out = self._gray(frame)
        else:
            out = self._planar(frame)
        if out.shape[1:] != (height, width):
            out = resize(out, (width, height))
        return np.clip(out, 0.0, 1.0, out=out)

    def _packed(self, frame: av.VideoFrame) -> np.ndarray:
        deep = bit_depth(frame.format) > 8
        name = ("rgba64le" if self._alpha else "rgb48le") if deep else ("rgba" if self._alpha else "rgb24")
        pixels = self._scaler.reformat(frame, format=name, interpolation=_QUALITY).to_ndarray()
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32) / np.float32(65535 if deep else 255)

    def _gray(self, frame: av.VideoFrame) -> np.ndarray:
        if frame.format.name not in ("gray", "gray10le", "gray12le", "gray16le"):
            frame = self._scaler.reformat(frame, format="gray16le", interpolation=_QUALITY)
        depth = bit_depth(frame.format)
        # Like FFmpeg, take gray as full range unless it is tagged as limited.
        low, span = (16 << depth - 8, 219 << depth - 8) if self._tags.range == RANGE_LIMITED else (0, (1 << depth) - 1)
        gray = (samples(frame, 0).astype(np.float32) - np.float32(low)) / np.float32(span)
        return np.repeat(gray[None], 4 if self._alpha else 3, axis=0)

    def _planar(self, frame: av.VideoFrame) -> np.ndarray:
        layout = _PLANAR.fullmatch(frame.format.name)
        if layout is None:
            name = _SAME_SAMPLES.get(frame.format.name)
            if name is None:
                name = "yuv444p" if bit_depth(frame.format) <= 8 else "yuv444p16le"
            if has_alpha(frame.format):
                name = name.replace("yuv", "yuva")
            # Color matrix and range stay the same; only the layout of the samples changes.
            frame = self._scaler.reformat(frame, format=name, interpolation=_QUALITY)
            layout = _PLANAR.fullmatch(name)
            assert layout is not None
        depth = int(layout[3] or 8)
        low, luma_span, chroma_span = _ranges(depth, is_full(self._tags, frame.format.name))
        shape = (frame.height, frame.width)
        out = np.empty((4 if self._alpha else 3, *shape), np.float32)
        luma = _scaled(samples(frame, 0), low, luma_span)
        blue, red = (_enlarge(_scaled(samples(frame, i), 1 << depth - 1, chroma_span), shape) for i in (1, 2))
        of_red, of_blue = self._weights
        of_green = 1 - of_red - of_blue
        cv2.scaleAdd(red, 2 * (1 - of_red), luma, dst=out[0])
        cv2.scaleAdd(blue, 2 * (1 - of_blue), luma, dst=out[2])
        cv2.scaleAdd(red, -2 * (1 - of_red) * of_red / of_green, luma, dst=out[1])
        cv2.scaleAdd(blue, -2 * (1 - of_blue) * of_blue / of_green, out[1], dst=out[1])
        if self._alpha:
            out[3] = samples(frame, 3).astype(np.float32) / ((1 << depth) - 1) if layout[1] else 1.0
        return out


class FromRGB:
    """Converts float RGB to the pixel format of an encoder, planar YUV or RGB. Not thread-safe.

    size  (width, height) of the resulting frames, padding included
    pad   columns and rows of padding, which are copies of the last column and row
    """

    def __init__(self, pixel_format: str, matrix: int, full: bool, size: tuple[int, int], pad: tuple[int, int]) -> None:
        self._interleaved = pixel_format if pixel_format in ("nv12", "p010le") else None
        pixel_format = _SAME_SAMPLES[pixel_format] if self._interleaved else pixel_format
        self._format = pixel_format
        self._depth = bit_depth(av.VideoFormat(pixel_format))
        self._layout = _PLANAR.fullmatch(pixel_format)
        self._weights = WEIGHTS.get(matrix, WEIGHTS[SPACE_709])
        self._full = full
        self._size = size
        self._pad = pad
        self._scaler = VideoReformatter()

    def __call__(self, rgb: np.ndarray) -> av.VideoFrame:
        """Convert float32 RGB ``[3,h,w]`` or RGBA ``[4,h,w]`` in [0,1], in the stored orientation, of any size."""
        width, height = self._size
        inner = (width - self._pad[0], height - self._pad[1])
        if (rgb.shape[2], rgb.shape[1]) != inner:
            rgb = resize(rgb, inner)
        if self._pad != (0, 0):
            rgb = np.pad(rgb, ((0, 0), (0, self._pad[1]), (0, self._pad[0])), mode="edge")
        # The conversion of NaN to an integer is undefined. As black it can at least be seen: fmax takes the number.
        rgb = np.fmax(rgb, np.float32(0))
        np.minimum(rgb, np.float32(1), out=rgb)
        if self._layout is None:
            return self._scaler.reformat(
                packed_frame(rgb, deep=self._depth > 8), format=self._format, interpolation=_QUALITY
            )
        frame = av.VideoFrame(width, height, self._format)
        of_red, of_blue = self._weights
        luma = cv2.scaleAdd(rgb[0], of_red, rgb[1] * np.float32(1 - of_red - of_blue))
        luma = cv2.scaleAdd(rgb[2], of_blue, luma)
        low, luma_span, chroma_span = _ranges(self._depth, self._full)
        top = (1 << self._depth) - 1
        _store(luma, luma_span, low, samples(frame, 0))
        for index, color, weight in ((1, rgb[2], of_blue), (2, rgb[0], of_red)):
            into = samples(frame, index)
            chroma = _reduce(color - luma, into.shape)
            _store(chroma, chroma_span / 2 / (1 - weight), 1 << self._depth - 1, into, top)
        if self._layout[1]:
            samples(frame, 3)[:] = np.rint(rgb[3] * np.float32(top)) if len(rgb) == 4 else top
        if self._interleaved is not None:
            frame = self._scaler.reformat(frame, format=self._interleaved, interpolation=_QUALITY)
        return frame


def samples(frame: av.VideoFrame, index: int) -> np.ndarray:
    """A plane as integers ``[height,width]``: a writable view without the padding of lines."""
    plane = frame.planes[index]
    deep = frame.format.components[0].bits > 8
    buffer: Any = plane
    values: np.ndarray = np.frombuffer(buffer, np.uint16 if deep else np.uint8)
    return values.reshape(-1, plane.line_size // (2 if deep else 1))[: plane.height, : plane.width]


def _scaled(values: np.ndarray, zero: int, span: int) -> np.ndarray:
    """Samples as float32: (value - zero) / span."""
    if values.dtype == np.uint8:  # one look into a table for each sample, instead of three passes over all
        table = (np.arange(256, dtype=np.float32) - np.float32(zero)) * np.float32(1 / span)
        result: np.ndarray = cv2.LUT(values, table[None])
        return result
    return (values.astype(np.float32) - np.float32(zero)) * np.float32(1 / span)


def _store(values: np.ndarray, span: float, zero: int, into: np.ndarray, top: int = 0) -> None:
    """Write floats as samples, values * span + zero, rounded; they are limited to 0 .. ``top`` if that is given."""
    if into.dtype == np.uint8 and zero >= 0:
        # OpenCV rounds and limits in one pass. It takes absolute values, so negative ones are limited before.
        least = -zero / span
        cv2.convertScaleAbs(np.maximum(values, np.float32(least)) if top else values, dst=into, alpha=span, beta=zero)
        return
    codes = np.rint(values * np.float32(span) + np.float32(zero))
    into[:] = np.clip(codes, 0, top) if top else codes


def _ranges(depth: int, full: bool) -> tuple[int, int, int]:
    """The luma value of black, the span from black to white, and the span of chroma."""
    if full:
        return 0, (1 << depth) - 1, (1 << depth) - 1
    return 16 << depth - 8, 219 << depth - 8, 224 << depth - 8


def resize(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize floats ``[C,h,w]`` to ``size`` (width, height): by area averages if smaller, else cubic."""
    width, height = size
    smaller = width <= planes.shape[2] and height <= planes.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.stack([cv2.resize(np.ascontiguousarray(plane), size, interpolation=how) for plane in planes])


def _enlarge(chroma: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Upsample chroma to the size of luma by cubic interpolation, sited left horizontally and centered vertically."""
    if chroma.shape[1] != shape[1]:
        wide = np.empty((chroma.shape[0], 2 * chroma.shape[1]), np.float32)
        wide[:, 0::2] = chroma
        kernel = np.array([[-1, 9, 9, -1]], np.float32) / 16
        cv2.filter2D(
            chroma, -1, kernel, dst=(odd := np.empty_like(chroma)), anchor=(1, 0), borderType=cv2.BORDER_REPLICATE
        )
        wide[:, 1::2] = odd
        chroma = wide[:, : shape[1]]
    if chroma.shape[0] != shape[0]:
        high = np.empty((2 * chroma.shape[0], chroma.shape[1]), np.float32)
        # Catmull-Rom weights for positions a quarter of a line above and below a sample.
        weights = np.array([[-3.0], [29.0], [111.0], [-9.0]], np.float32) / 128
        chroma = np.ascontiguousarray(chroma)
        high[0::2] = cv2.filter2D(chroma, -1, weights, anchor=(0, 2), borderType=cv2.BORDER_REPLICATE)
        high[1::2] = cv2.filter2D(chroma, -1, weights[::-1].copy(), anchor=(0, 1), borderType=cv2.BORDER_REPLICATE)
        chroma = high[: shape[0]]
    return np.ascontiguousarray(chroma)


def _reduce(chroma: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Subsample chroma, the inverse of :func:`_enlarge`: low-pass filter, then every other sample."""
    if chroma.shape[1] != shape[1]:
        kernel = np.array([[-1, 0, 9, 16, 9, 0, -1]], np.float32) / 32
        chroma = cv2.filter2D(chroma, -1, kernel, borderType=cv2.BORDER_REPLICATE)[:, 0::2]
    if chroma.shape[0] != shape[0]:
        if chroma.shape[0] % 2:
            chroma = np.pad(chroma, ((0, 1), (0, 0)), mode="edge")
        chroma = (chroma[0::2] + chroma[1::2]) * np.float32(0.5)
    return chroma


def packed_frame(rgb: np.ndarray, *, deep: bool = False) -> av.VideoFrame:
    """Floats ``[3,h,w]`` or ``[4,h,w]`` in [0,1] as an rgb24 or rgba frame; ``deep`` makes it 16 bits."""
    pixels = np.ascontiguousarray(quantized(rgb, deep=deep).transpose(1, 2, 0))
    names = ("rgb48le", "rgba64le") if deep else ("rgb24", "rgba")
    return av.VideoFrame.from_ndarray(pixels, names[len(rgb) - 3])
