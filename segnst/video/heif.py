"""Read how an AVIF picture (or another in an ISO container) is to be rotated. OpenCV ignores this."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_ANY = {b"mif1", b"msf1"}


def is_heic(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a HEIC picture (encoded with HEVC)."""
    if head[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, length, 4))}
    return bool(brands & _HEIC) or (head[8:12] in _ANY and not brands & {b"avif", b"avis"})


def transforms(data: bytes) -> list[tuple[str, int]]:
    """The transforms of the primary picture, in order (ISO/IEC 23008-12).

    Each is ("irot", number of quarter turns counterclockwise) or ("imir", 0 to exchange top and bottom or 1 to exchange
    left and right). Empty if there are none or the boxes are damaged.
    """
    try:
        return _transforms(data)
    except (struct.error, IndexError, StopIteration):
        return []


def turned(pixels: np.ndarray, steps: list[tuple[str, int]]) -> np.ndarray:
    """Apply the transforms to ``[H,W,C]``."""
    for kind, value in steps:
        pixels = np.rot90(pixels, value) if kind == "irot" else np.flip(pixels, value)
    return pixels


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, the start and the end of the content of each box."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        stop = end if size == 0 else start + size
        if (size and size < header) or stop > end:
            return
        yield kind, start + header, stop
        start = stop


def _inside(data: bytes, kind: bytes, start: int, end: int) -> tuple[int, int]:
    return next((begins, ends) for name, begins, ends in _boxes(data, start, end) if name == kind)


def _transforms(data: bytes) -> list[tuple[str, int]]:
    meta, meta_end = _inside(data, b"meta", 0, len(data))
    meta += 4  # version and flags
    at, _ = _inside(data, b"pitm", meta, meta_end)
    (primary,) = struct.unpack_from(">H" if data[at] == 0 else ">I", data, at + 4)
    iprp, iprp_end = _inside(data, b"iprp", meta, meta_end)
    properties = list(_boxes(data, *_inside(data, b"ipco", iprp, iprp_end)))
    found = []
    for kind, begins, _ in _boxes(data, iprp, iprp_end):
        if kind == b"ipma":
            for index in _associations(data, begins, primary):
                name, at, _ = properties[index - 1]
                if name == b"irot":
                    found.append(("irot", data[at] & 3))
                elif name == b"imir":
                    found.append(("imir", data[at] & 1))
    return found


def _associations(data: bytes, at: int, item: int) -> Iterator[int]:
    """Yield the indices, from 1, of the properties of an item, in order."""
    version, wide = data[at], data[at + 3] & 1
    (count,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    for _ in range(count):
        name = ">H" if version < 1 else ">I"
        (number,) = struct.unpack_from(name, data, at)
        at += struct.calcsize(name)
        properties = data[at]
        at += 1
        for _ in range(properties):
            index = struct.unpack_from(">H", data, at)[0] & 0x7FFF if wide else data[at] & 0x7F
            at += 2 if wide else 1
            if number == item and index:
                yield index
