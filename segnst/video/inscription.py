"""A text that travels with a film or a picture: a tag of the container, or a chunk of text of a PNG or JPEG.

The text is a JSON object whose first key is ``segnst_recipe`` (``segnst.recipe`` makes and reads it). Here it is only
carried. Where it lies:

- mkv and webm: the tag SEGNST_RECIPE;
- mp4, m4v and mov: the comment, which all players keep and show; or the free tag segnst_recipe, if the source has a
  comment of its own;
- PNG: an iTXt chunk;  JPEG: a comment segment. Other stills and GIF have no place that other programs keep.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

from segnst.errors import InputError
from segnst.untrusted import MAX_PICTURE_BYTES, check_regular, is_folder
from segnst.video.guard import reading
from segnst.video.images import apart_from_masks, frame_files
from segnst.video.source import open_input, readable

KEY = "segnst_recipe"
MAX_TEXT = 60_000  # bytes; mov and JPEG count the length of a text in 16 bits
_PNG = b"\x89PNG\r\n\x1a\n"
_BEGINS = re.compile(r'\s*\{\s*"segnst_recipe"')


def is_recipe(text: str) -> bool:
    """Whether a text looks like a recipe."""
    return bool(_BEGINS.match(text))


def without(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata of a source without its recipe, which says how the source was made and not what is made of it."""
    return {key: text for key, text in metadata.items() if key.lower() != KEY and not is_recipe(text)}


def with_text(metadata: dict[str, str], text: str | None, container: str) -> dict[str, str]:
    """The metadata of an output: that of its source and its own recipe, if there is one and it is not too long."""
    kept = without(metadata)
    if text is None or len(text.encode()) > MAX_TEXT:
        return kept
    commented = any(key.lower() == "comment" for key in kept)
    return {**kept, "comment" if container in ("mp4", "mov") and not commented else KEY: text}


def inscribed(data: bytes, text: str | None) -> bytes:
    """An encoded PNG or JPEG with the text in it; other formats as they are."""
    if text is None or len(text.encode()) > MAX_TEXT:
        return data
    if data.startswith(_PNG):
        body = KEY.encode() + b"\0\0\0\0\0" + text.encode()  # not compressed, no language, no translated keyword
        chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
        end = len(_PNG) + 25  # IHDR, the first chunk
        return data[:end] + chunk + data[end:]
    if data.startswith(b"\xff\xd8"):
        at = 2
        while data[at : at + 1] == b"\xff" and 0xE0 <= data[at + 1] <= 0xEF:  # JFIF, EXIF and profile come first
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        body = text.encode()
        return data[:at] + b"\xff\xfe" + struct.pack(">H", len(body) + 2) + body + data[at:]
    return data


def read_text(path: Path) -> str:
    """The recipe in a film, a picture, or the first picture of a folder. Raises InputError, also if there is none."""
    if is_folder(path):
        path = apart_from_masks(frame_files(path))[0][0]
    size = check_regular(path)
    with reading(path), path.open("rb") as file:
        head = file.read(8)
        if head == _PNG or head.startswith(b"\xff\xd8"):
            data = head + file.read(min(size, MAX_PICTURE_BYTES))
            texts = _of_png(data) if head == _PNG else _of_jpeg(data)
        else:
            with open_input(path) as container:
                texts = list(readable(container.metadata).values())
    found = next((text for text in texts if is_recipe(text)), None)
    if found is None:
        raise InputError(f"{path} holds no recipe: segnst did not make it, or another program has dropped it.")
    if len(found.encode()) > MAX_TEXT:
        raise InputError(f"The recipe in {path} is longer than {MAX_TEXT} bytes; segnst did not write it.")
    return found


def _of_png(data: bytes) -> list[str]:
    """The texts of the chunks iTXt and tEXt with our keyword, as far as the chunks are whole. Nothing is inflated."""
    found, at = [], len(_PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + min(length, 2 * MAX_TEXT)]
        if kind in (b"iTXt", b"tEXt") and body.startswith(KEY.encode() + b"\0"):
            text = body.split(b"\0", 5 if kind == b"iTXt" else 1)[-1]
            found.append(text.decode("utf-8", "replace"))
        at += 12 + length
    return found


def _of_jpeg(data: bytes) -> list[str]:
    """The texts of the comment segments."""
    found, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:  # up to the coded picture
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        if data[at + 1] == 0xFE:
            found.append(data[at + 4 : at + 2 + length].decode("utf-8", "replace"))
        at += 2 + length
    return found
