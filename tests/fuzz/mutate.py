"""Small changes to files, of the kinds that break readers; all from one random generator, which a seed begins."""

from __future__ import annotations

import random
import re
import struct
import zlib

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WORDS = (
    "NaN", "Infinity", "-Infinity", "nan", "inf", "1e19", "-1", "0", "1e999", "10000000000000000000", "9" * 5000,
    "null", "true", '"../../x"', '"/etc/passwd"', '""', '"\\u0000"', "[]", "{}", "[[]]", "[" * 3000, '{"a":' * 3000,
    "1.5", "3=4",
)  # fmt: skip


def mutant(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """``data`` with one to four changes. PNGs get their checksums mended, so that changes reach the pixels."""
    text = _is_text(data)
    for _ in range(dice.choice((1, 1, 2, 4))):
        data = _in_words(data, dice) if text and dice.random() < 0.8 else _in_bytes(data, others, dice)
    if data.startswith(b"\x89PNG") and dice.random() < 0.8:
        data = _mended(data)
    return data


def _is_text(data: bytes) -> bool:
    return data[:1] in (b"{", b"[", b"#") or data[:7] == b"styles "


def _in_words(data: bytes, dice: random.Random) -> bytes:
    """Another value in the place of one of JSON or TOML, or an entry twice or not at all."""
    text = data.decode("utf-8", "replace")
    places = list(re.finditer(r'-?\d+(?:\.\d+)?|"[^"]*"|\[|\]|\{|\}|,|:|=', text))
    if not places:
        return data
    place = dice.choice(places)
    how = dice.random()
    new = dice.choice(WORDS) if how < 0.7 else "" if how < 0.85 else place[0] * 2
    return (text[: place.start()] + new + text[place.end() :]).encode("utf-8", "replace")


def _in_bytes(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    changed = bytearray(data)
    size = len(changed)
    if not size:
        return dice.choice(others)
    # headers are where the numbers stand
    at = dice.randrange(size if dice.random() < 0.5 else min(size, 600))
    how = dice.randrange(9)
    if how == 0:
        changed[at] ^= 1 << dice.randrange(8)
    elif how == 1:
        changed[at] = dice.randrange(256)
    elif how == 2:
        width = dice.choice((1, 2, 4, 8))
        number = dice.choice(NUMBERS) & ((1 << 8 * width) - 1)
        changed[at : at + width] = number.to_bytes(width, dice.choice(("big", "little")))
    elif how == 3:
        del changed[at:]
    elif how == 4:
        del changed[at : at + dice.choice((1, 2, 4, 16, 200))]
    elif how == 5:
        length = dice.choice((1, 4, 16, 200))
        changed[at:at] = changed[at : at + length] * dice.choice((1, 2, 50))
    elif how == 6:
        other = dice.randrange(size)
        length = dice.choice((1, 4, 12, 64))
        changed[at : at + length], changed[other : other + length] = (
            changed[other : other + length],
            changed[at : at + length],
        )
    elif how == 7:
        changed[at : at + 16] = bytes(dice.randrange(256) for _ in range(16))
    else:
        foreign = dice.choice(others)
        start = dice.randrange(max(1, len(foreign)))
        changed[at : at + 64] = foreign[start : start + 64]
    return bytes(changed)


def _mended(data: bytes) -> bytes:
    """The checksums of a PNG's chunks made right, as far as its chunks can be followed."""
    changed, at = bytearray(data), 8
    while at + 12 <= len(changed):
        length = struct.unpack_from(">I", changed, at)[0]
        end = at + 8 + length
        if end + 4 > len(changed):
            break
        struct.pack_into(">I", changed, end, zlib.crc32(changed[at + 4 : end]))
        at = end + 4
    return bytes(changed)
