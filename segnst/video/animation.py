"""Read animated WebP, which FFmpeg cannot decode, with OpenCV."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from segnst.errors import InputError
from segnst.files import reason
from segnst.video.guard import reading

# Frames to decode per call. OpenCV starts from the first frame in each call, so small batches would be slow.
_BATCH = 32
# Milliseconds for which browsers show frames with a duration of 0.
_NO_TIME = 100


def is_animated_webp(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is an animated WebP."""
    if not head.startswith(b"RIFF") or head[8:12] != b"WEBP":
        return False
    return b"ANMF" in head or (head[12:16] == b"VP8X" and len(head) > 20 and bool(head[20] & 2))


def durations(path: Path) -> list[int]:
    """The duration of each frame of an animated WebP in milliseconds, from its headers. Raises InputError."""
    found = []
    with reading(path), path.open("rb") as file:
        file.seek(12)
        while len(header := file.read(8)) == 8:
            kind, size = struct.unpack("<4sI", header)
            after = file.tell() + size + size % 2
            if kind == b"ANMF":
                frame = file.read(16)
                if len(frame) < 16:
                    break
                found.append(int.from_bytes(frame[12:15], "little") or _NO_TIME)
            file.seek(after)
    if not found:
        raise InputError(f"{path} is an animated WebP without a single frame.")
    return found


def pictures(path: Path, count: int) -> Iterator[np.ndarray]:
    """Yield the first ``count`` composed frames as uint8 RGB or RGBA [H,W,3 or 4].

    Raises InputError if a frame cannot be decoded.
    """
    with reading(path):
        data = np.frombuffer(path.read_bytes(), np.uint8)
    for start in range(0, count, _BATCH):
        try:
            ok, animation = cv2.imdecodeanimation(data, start=start, count=_BATCH)
        except cv2.error as error:
            raise InputError(f"The animation {path} cannot be decoded ({reason(error)}).") from error
        if not ok:
            raise InputError(f"The animation {path} cannot be decoded; it is damaged or cut off.")
        for frame in animation.frames[: count - start]:
            yield np.ascontiguousarray(frame[:, :, [2, 1, 0, 3][: frame.shape[2]]])
