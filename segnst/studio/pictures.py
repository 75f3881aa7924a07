"""Frames as JPEG and PNG bytes, and single frames of a file by their time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from segnst.errors import InputError
from segnst.pixels import to_bytes
from segnst.types import Clip
from segnst.video.read import Reader, open_reader

PREVIEW = 640  # px of the long side of previews
QUALITY = 90  # of JPEGs
EARLY = 1e-3  # seconds; times travel as decimals, so a frame is looked for from slightly before its time


def jpeg(rgb: Tensor | np.ndarray, quality: int = QUALITY) -> bytes:
    """RGB [3,H,W] in [0,1], or uint8 [H,W,3] -> JPEG."""
    pixels = rgb if isinstance(rgb, np.ndarray) else to_bytes(rgb)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


def png(pixels: np.ndarray) -> bytes:
    """Gray uint8 [H,W], or BGRA uint8 [H,W,4] -> PNG."""
    _, data = cv2.imencode(".png", pixels)
    return bytes(data)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a file, RGB [1,3,H,W] in [0,1].

    time   in seconds;  step  seconds from one frame to the next, in the mean
    scale  its pixels per pixel of the input
    """

    rgb: Tensor
    time: float
    step: float
    scale: float


def seconds_of(reader: Reader, clip: Clip) -> float:
    """The time of a clip's first frame as the command line counts it (``--start``, ``@TIME``)."""
    return round(float(clip.pts[0] * clip.time_base - reader.info.origin), 6)


def frame_at(path: Path, time: float, size: int) -> Frame:
    """The first frame at ``time`` or after it, else the last one, at most ``size`` px long. Raises InputError."""
    for back in (0.0, 0.2, 2.0, time):  # behind the last frame, the last one is looked for further and further back
        start = max(0.0, time - EARLY - back) or None
        try:
            with open_reader(path, start=start, max_size=size, threaded=False) as reader:
                frames = iter(reader)
                clip = next(frames)
                for later in frames if back else ():
                    clip = later
                step = 1 / float(reader.info.fps)
                return Frame(clip.rgb, seconds_of(reader, clip), step, reader.width / reader.info.width)
        except InputError:
            if start is None:
                raise
    raise InputError(f"{path} has no frame at {time:g} s.")
