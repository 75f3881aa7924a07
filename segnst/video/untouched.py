"""Pixels that a run leaves alone keep the very code values of the source.

YUV to RGB and back is not the identity: saturated edges leave the RGB cube with chroma at half
resolution and are clipped (the shared 10-bit test pattern comes back at 28 dB). So the reader
keeps the decoded frames of the last moments, and the writer takes from them what did not change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import av
import cv2
import numpy as np

from segnst.video.color import ColorTags, ToRGB, samples

# Less than this, in [0,1], is no change: what half precision does to a value, under 1/4 of 1/255.
_TOLERANCE = np.float32(1 / 1024)
_BUDGET = 192 * 1024 * 1024
_MOST = 64


class SourceFrames:
    """Decoded frames by pts, bounded in number and bytes; shared by reader's and writer's threads."""

    def __init__(self) -> None:
        self._frames: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self._lock = threading.Lock()
        self._wanted = False

    def want(self) -> None:
        """Ask for frames to be kept; without it nothing is."""
        self._wanted = True

    def clear(self) -> None:
        with self._lock:
            self._frames.clear()

    def keep(self, pts: int, frame: av.VideoFrame) -> None:
        """Remember a frame; the oldest ones go when there are too many."""
        if not self._wanted:
            return
        size = max(1, sum(plane.buffer_size for plane in frame.planes))
        with self._lock:
            self._frames[pts] = frame
            while len(self._frames) > max(2, min(_MOST, _BUDGET // size)):
                self._frames.popitem(last=False)

    def take(self, pts: int) -> av.VideoFrame | None:
        """The frame at ``pts``, if it is still there; it and all earlier ones are forgotten."""
        with self._lock:
            while self._frames:
                first, frame = next(iter(self._frames.items()))
                if first > pts:
                    return None
                del self._frames[first]
                if first == pts:
                    return frame
        return None


class Restorer:
    """Copies unchanged pixels of source frames into converted ones. For one thread only."""

    def __init__(self, tags: ColorTags, lines: int, square: tuple[int, int]) -> None:
        self._to_rgb = ToRGB(tags, lines, alpha=False)
        self._square = square

    def __call__(self, target: av.VideoFrame, rgb: np.ndarray, source: av.VideoFrame) -> None:
        """``rgb`` [3,h,w], of the square size, is what ``target`` was converted from."""
        if (source.width, source.height) != (target.width, target.height) or not same_layout(source, target):
            return
        original = self._to_rgb(source, *self._square)
        np.subtract(original, rgb, out=original)
        np.abs(original, out=original)
        same = original.max(axis=0) <= _TOLERANCE
        if not same.any():
            return
        if same.shape != (target.height, target.width):
            # Unchanged is a stored pixel only if all the square ones that it was made from are.
            size = (target.width, target.height)
            same = cv2.resize(same.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
        for index in range(len(target.planes)):
            into = samples(target, index)
            mask = same if index == 0 else _all_of_block(same, into.shape[1], into.shape[0])
            np.copyto(into, samples(source, index), where=mask)


def _layout(name: str) -> str:
    return name.replace("yuvj", "yuv")


def same_layout(source: av.VideoFrame, target: av.VideoFrame) -> bool:
    """Whether code values of one frame mean the same in the other (range and matrix apart)."""
    return _layout(source.format.name) == _layout(target.format.name)


def restorable(source_format: str, target_format: str) -> bool:
    """Whether frames of these pixel formats can exchange pixels: planar YUV of equal layout."""
    return _layout(source_format) == target_format and target_format.startswith("yuv4") and "a" not in target_format


def _all_of_block(same: np.ndarray, width: int, height: int) -> np.ndarray:
    """Chroma samples all of whose luma pixels are the same."""
    across, down = -(-same.shape[1] // width), -(-same.shape[0] // height)
    edge = ((0, height * down - same.shape[0]), (0, width * across - same.shape[1]))
    if edge != ((0, 0), (0, 0)):
        same = np.pad(same, edge, mode="edge")
    blocks = np.ones((height, width), bool)
    for row in range(down):  # by slices: numpy's reduction over two axes of bools is ten times slower
        for column in range(across):
            blocks &= same[row::down, column::across]
    return blocks
