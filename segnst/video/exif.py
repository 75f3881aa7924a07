"""Read and change the orientation in an EXIF block."""

from __future__ import annotations

import struct


def exif_tag(exif: bytes) -> int:
    """The orientation (tag 274) in an EXIF block, or 1 (as stored) if it has none."""
    place = _exif_place(exif)
    if place is None:
        return 1
    return int(struct.unpack_from(place[1] + "H", exif, place[0])[0])


def upright_exif(exif: bytes) -> bytes:
    """The block with its orientation set to 1 (as stored), for pixels that have been rotated upright."""
    place = _exif_place(exif)
    if place is None:
        return exif
    changed = bytearray(exif)
    struct.pack_into(place[1] + "H", changed, place[0], 1)
    return bytes(changed)


def _exif_place(exif: bytes) -> tuple[int, str] | None:
    """The offset of the orientation's value in an EXIF block, and the byte order; None if there is none."""
    base = 6 if exif.startswith(b"Exif\0\0") else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[base : base + 2])
    if order is None:
        return None
    try:
        table = base + struct.unpack_from(order + "I", exif, base + 4)[0]
        for entry in range(struct.unpack_from(order + "H", exif, table)[0]):
            at = table + 2 + 12 * entry
            if struct.unpack_from(order + "H", exif, at)[0] == 274:
                if len(exif) < at + 12:
                    return None
                return at + 8, order
    except struct.error:
        pass
    return None
