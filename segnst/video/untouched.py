"""Keep the exact YUV values of the source for pixels that a run does not change.

Converting YUV to RGB and back loses information: with subsampled chroma, saturated edges are outside of the RGB cube
and are clipped (a 10-bit test pattern came back with a PSNR of 28 dB). So the reader keeps the most recent decoded
frames, and the writer copies unchanged pixels from them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import av
import cv2
import numpy as np

from segnst.video.color import ColorTags, ToRGB, samples

# Smaller differences (of values in [0,1]) do not count as changes. This is about the rounding error of half
# precision, and about a quarter of 1/255.
_TOLERANCE = np.float32(1 / 1024)
_BUDGET = 192 * 1024 * 1024
_MOST = 64


class SourceFrames:
    """Decoded frames by pts, limited in number and bytes. The threads of reader and writer may share it."""

    def __init__(self) -> None:
        self._frames: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self._lock = threading.Lock()
        self._wanted = False

    def want(self) -> None:
        """Request that frames are kept. Without this call, none are."""
        self._wanted = True

    def clear(self) -> None:
        with self._lock:
            self._frames.clear()

    def keep(self, pts: int, frame: av.VideoFrame) -> None:
        """Keep a frame; the oldest ones are dropped when there are too many."""
        if not self._wanted:
            return
        size = max(1, sum(plane.buffer_size for plane in frame.planes))
        with self._lock:
            self._frames[pts] = frame
            while len(self._frames) > max(2, min(_MOST, _BUDGET // size)):
                self._frames.popitem(last=False)

    def take(self, pts: int) -> av.VideoFrame | None:
        """Remove and return the frame at ``pts``, or None if it is not there. Earlier frames are dropped."""
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
    """Copies unchanged pixels from source frames into frames for the encoder. Not thread-safe."""

    def __init__(self, tags: ColorTags, lines: int, square: tuple[int, int]) -> None:
        self._to_rgb = ToRGB(tags, lines, alpha=False)
        self._square = square

    def __call__(self, target: av.VideoFrame, rgb: np.ndarray, source: av.VideoFrame) -> None:
        """Change ``target``, which was converted from ``rgb``, float32 [3,h,w] in [0,1] of the square size."""
        if (source.width, source.height) != (target.width, target.height) or not same_layout(source, target):
            return
        original = self._to_rgb(source, *self._square)
        np.subtract(original, rgb, out=original)
        np.abs(original, out=original)
        same = original.max(axis=0) <= _TOLERANCE
        if not same.any():
            return
        if same.shape != (target.height, target.width):
            # A stored pixel counts as unchanged only if all square pixels that it was made from are unchanged.
            size = (target.width, target.height)
            same = cv2.resize(same.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
        for index in range(len(target.planes)):
            into = samples(target, index)
            mask = same if index == 0 else _all_of_block(same, into.shape[1], into.shape[0])
            np.copyto(into, samples(source, index), where=mask)


def _layout(name: str) -> str:
    return name.replace("yuvj", "yuv")


def same_layout(source: av.VideoFrame, target: av.VideoFrame) -> bool:
    """Whether two frames have the same layout of samples, whatever their range and matrix."""
    return _layout(source.format.name) == _layout(target.format.name)


def restorable(source_format: str, target_format: str) -> bool:
    """Whether pixels can be copied between these pixel formats: planar YUV with the same layout, without alpha."""
    return _layout(source_format) == target_format and target_format.startswith("yuv4") and "a" not in target_format


def _all_of_block(same: np.ndarray, width: int, height: int) -> np.ndarray:
    """A mask [height,width] of the chroma samples whose luma pixels are all unchanged."""
    across, down = -(-same.shape[1] // width), -(-same.shape[0] // height)
    edge = ((0, height * down - same.shape[0]), (0, width * across - same.shape[1]))
    if edge != ((0, 0), (0, 0)):
        same = np.pad(same, edge, mode="edge")
    blocks = np.ones((height, width), bool)
    for row in range(down):  # slices are ten times faster than a NumPy reduction over two axes
        for column in range(across):
            blocks &= same[row::down, column::across]
    return blocks
