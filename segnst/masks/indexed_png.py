"""Label maps as indexed PNGs: the pixel value is the class index, the palette only makes them good to look at.

OpenCV writes no palettes and expands them to colors when it reads; so both are done here, after the PNG
specification (W3C, third edition), for the kinds that label maps come in: gray or palette, 1 to 8 bits.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from segnst.errors import InputError
from segnst.files import written_whole

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _PALETTE = 0, 3


def palette(count: int = 256) -> np.ndarray:
    """Return ``count`` colors, uint8 [count,3]: 0 is black, neighbors are far apart (bits spread as in VOC)."""
    index = np.arange(count, dtype=np.uint32)
    colors = np.zeros((count, 3), np.uint32)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return colors.astype(np.uint8)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encode_png(labels: np.ndarray, colors: np.ndarray | None = None) -> bytes:
    """uint8 [H,W] -> the bytes of an 8-bit palette PNG."""
    if labels.dtype != np.uint8 or labels.ndim != 2 or not labels.size:
        raise ValueError(f"labels must be uint8 [H,W], got {labels.dtype} {list(labels.shape)}")
    height, width = labels.shape
    table = palette() if colors is None else colors
    rows = np.zeros((height, width + 1), np.uint8)  # first byte of a row: filter type 0
    rows[:, 1:] = labels
    header = struct.pack(">IIBBBBB", width, height, 8, _PALETTE, 0, 0, 0)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", table.astype(np.uint8).tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)),
            _chunk(b"IEND", b""),
        )
    )


def write_png(path: Path, labels: np.ndarray, colors: np.ndarray | None = None) -> None:
    """Write uint8 [H,W] as a palette PNG; the file appears only when it is complete."""
    with written_whole(path) as temporary:
        temporary.write_bytes(encode_png(labels, colors))


def read_png(path: Path) -> np.ndarray:
    """Read a gray or palette PNG -> uint8 [H,W] of indices. Raises InputError for other kinds and broken files."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"The label map {path} cannot be read: {error.strerror}.") from error
    if not data.startswith(_SIGNATURE):
        raise InputError(f"The label map {path} is not a PNG file.")
    try:
        return _decode(data, path)
    except (struct.error, zlib.error, ValueError, IndexError) as error:
        raise InputError(f"The label map {path} is damaged.") from error


def _decode(data: bytes, path: Path) -> np.ndarray:
    position, packed, header = len(_SIGNATURE), b"", None
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        elif kind == b"IEND":
            break
    if header is None:
        raise ValueError("no header")
    width, height, depth, color, _, _, interlace = header
    if color not in (_GRAY, _PALETTE) or depth > 8 or interlace:
        raise InputError(f"The label map {path} is not an indexed or gray 8-bit PNG: its pixels must be class indices.")
    stride = (width * depth + 7) // 8
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, stride + 1)
    rows = _unfilter(raw)
    if depth < 8:
        bits = np.unpackbits(rows, axis=1)[:, : stride * 8].reshape(height, -1, depth)
        rows = (bits << np.arange(depth - 1, -1, -1, dtype=np.uint8)).sum(2, dtype=np.uint8)[:, :width]
    return np.ascontiguousarray(rows)


def _unfilter(raw: np.ndarray) -> np.ndarray:
    """Undo the filter of each row (bytes per pixel is 1 for all kinds read here)."""
    out = np.zeros((raw.shape[0], raw.shape[1] - 1), np.uint8)
    above = np.zeros(raw.shape[1] - 1, np.uint8)
    for y, row in enumerate(raw):
        kind, line = int(row[0]), row[1:]
        if kind == 0:
            now = line
        elif kind == 1:
            now = np.cumsum(line, dtype=np.uint8)
        elif kind == 2:
            now = line + above
        elif kind in (3, 4):
            now = _unfilter_slow(kind, line.tolist(), above.tolist())
        else:
            raise ValueError(f"filter {kind}")
        out[y] = above = np.asarray(now, np.uint8)
    return out


def _unfilter_slow(kind: int, line: list[int], above: list[int]) -> np.ndarray:
    result, left, corner = [], 0, 0
    for value, up in zip(line, above, strict=True):
        if kind == 3:
            guess = (left + up) // 2
        else:
            p = left + up - corner
            near = (abs(p - left), abs(p - up), abs(p - corner))
            guess = left if near[0] <= near[1] and near[0] <= near[2] else up if near[1] <= near[2] else corner
        left, corner = (value + guess) & 255, up
        result.append(left)
    return np.array(result, np.uint8)
