"""Label maps as indexed PNGs: the value of a pixel is its class index, and the palette is only for viewing.

OpenCV cannot write palettes, and replaces indices by colors when it reads them. So this module parses the PNG container
itself (W3C PNG specification, third edition), for the kinds that label maps use: gray or palette, 1 to 16 bits.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from segnst.errors import InputError
from segnst.files import written_whole
from segnst.untrusted import MAX_PICTURE_BYTES, check_pixels, read_bytes

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _PALETTE = 0, 3
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # x, y, dx, dy


def palette(count: int = 256) -> np.ndarray:
    """The first ``count`` colors of the PASCAL VOC palette, uint8 [count,3]: 0 is black, neighbors differ clearly."""
    index = np.arange(count, dtype=np.uint32)
    colors = np.zeros((count, 3), np.uint32)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return colors.astype(np.uint8)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encode_png(labels: np.ndarray, colors: np.ndarray | None = None) -> bytes:
    """Encode uint8 [H,W] as an 8-bit palette PNG; ``colors`` is uint8 [N,3]. Raises ValueError for other arrays."""
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
    """Read a gray or palette PNG of 1 to 16 bits, interlaced or not -> uint8 or uint16 [H,W] of indices.

    Raises InputError for other kinds, for broken files, and for more pixels than ``segnst.untrusted.max_pixels``.
    """
    data = read_bytes(path, MAX_PICTURE_BYTES, "label map")
    if not data.startswith(_SIGNATURE):
        raise InputError(f"The label map {path} is not a PNG file.")
    try:
        return _decode(data, path)
    except (struct.error, zlib.error, ValueError, IndexError) as error:
        raise InputError(f"The label map {path} is damaged.") from error


def is_transparent(path: Path) -> bool:
    """Whether a PNG has a palette with transparent colors. Raises InputError."""
    data = read_bytes(path, MAX_PICTURE_BYTES, "label map")
    before = data[: data.find(b"IDAT")]
    return data.startswith(_SIGNATURE) and data[25:26] == bytes([_PALETTE]) and b"tRNS" in before


def _decode(data: bytes, path: Path) -> np.ndarray:
    position, packed, header = len(_SIGNATURE), [], None
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed.append(body)
        elif kind == b"IEND":
            break
    if header is None:
        raise ValueError("no header")
    width, height, depth, color, _, _, interlace = header
    if color not in (_GRAY, _PALETTE) or depth not in (1, 2, 4, 8, *((16,) if color == _GRAY else ())):
        raise InputError(f"The label map {path} is not an indexed or gray PNG: its pixels must be class indices.")
    check_pixels(width, height, path)
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    sizes = [(w, h) for w, h in sizes if w > 0 and h > 0]
    strides = [(w * depth + 7) // 8 + 1 for w, _ in sizes]
    needed = sum(stride * h for stride, (_, h) in zip(strides, sizes, strict=True))
    # The output is limited to what the picture needs, because a kilobyte of damaged data could inflate to a gigabyte.
    raw = zlib.decompressobj().decompress(b"".join(packed), needed)
    if len(raw) < needed:
        raise ValueError("pixels are missing")
    filters, at = np.frombuffer(raw, np.uint8), 0
    for stride, (_, h) in zip(strides, sizes, strict=True):
        if filters[at : at + stride * h : stride].max() > 4:
            raise ValueError("unknown filter")
        at += stride * h
    # libpng undoes filters and interlacing. The header declares the indices as gray values, because libpng would
    # otherwise replace them by palette colors. The data was checked above because libpng prints errors to stderr.
    plain = struct.pack(">IIBBBBB", width, height, depth, _GRAY, 0, 0, 1 if interlace else 0)
    chunks = (_chunk(b"IHDR", plain), _chunk(b"IDAT", zlib.compress(raw, 0)), _chunk(b"IEND", b""))
    try:
        values = cv2.imdecode(np.frombuffer(b"".join((_SIGNATURE, *chunks)), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError("libpng gave up") from error
    if values is None or values.shape != (height, width):
        raise ValueError("libpng gave up")
    if depth < 8:  # OpenCV scales the values to 0..255
        values //= 255 // ((1 << depth) - 1)
    return np.ascontiguousarray(values)
