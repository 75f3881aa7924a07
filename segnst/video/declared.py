"""Read the size of a still picture from its header, before anything is decoded."""

from __future__ import annotations

import re
import struct

_TIFF_SIZES = {3: "H", 4: "I", 16: "Q"}


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Width and height, as stored, of a PNG, JPEG, WebP, BMP, PNM, TIFF, JPEG 2000 or AVIF; None if not found."""
    try:
        return _declared(data)
    except (struct.error, IndexError, ValueError):
        return None


def _declared(data: bytes) -> tuple[int, int] | None:
    if data.startswith(b"\x89PNG"):
        return struct.unpack_from(">II", data, 16)
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", data, 18)
        return abs(width), abs(height)
    if found := re.match(rb"P[1-6](?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})", data[:4096]):
        return int(found[1]), int(found[2])
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(data)
    if data.startswith(b"\0\0\0\x0cjP  ") and (at := data.find(b"ihdr", 0, 4096)) >= 0:
        height, width = struct.unpack_from(">II", data, at + 4)
        return width, height
    if data[4:8] == b"ftyp":
        sizes = [struct.unpack_from(">II", data, m.end() + 4) for m in re.finditer(b"ispe", data[:65536])]
        return max(sizes, key=lambda s: s[0] * s[1], default=None)
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while data[at] == 0xFF:
        kind, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + length
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff(data: bytes) -> tuple[int, int] | None:
    order = "<" if data.startswith(b"II") else ">"
    table = struct.unpack_from(order + "I", data, 4)[0]
    sides = {}
    for entry in range(struct.unpack_from(order + "H", data, table)[0]):
        tag, kind = struct.unpack_from(order + "HH", data, table + 2 + 12 * entry)
        if tag in (256, 257) and kind in _TIFF_SIZES:
            sides[tag] = struct.unpack_from(order + _TIFF_SIZES[kind], data, table + 10 + 12 * entry)[0]
    return (sides[256], sides[257]) if len(sides) == 2 else None
