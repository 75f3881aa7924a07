"""Reads the truth of a rendered clip (numpy and OpenCV only).

t = Truth("videos/street")
t.mask(0)       # (h, w) uint8, class of every pixel of the first frame
t.flow(5)       # (h, w, 2) float32 [x, y]: position in frame 4 = position in frame 5 + flow
t.occluded(5)   # (h, w) bool: not to be seen in frame 4
"""

from __future__ import annotations

import lzma
from pathlib import Path

import cv2
import numpy as np


class Truth:
    """Frames count from 0; frame 0 has no flow."""

    def __init__(self, folder: str | Path) -> None:
        self.masks = sorted((Path(folder) / "masks").glob("*.png"))
        with np.load(Path(folder) / "flow.npz") as z:
            self.shape: tuple[int, int] = (int(z["shape"][0]), int(z["shape"][1]))
            self._scale, self._ends, self._data = int(z["scale"]), z["ends"], z["data"]
            self.cuts = [int(c) - 1 for c in z["cuts"]]

    def __len__(self) -> int:
        return len(self.masks)

    def mask(self, t: int) -> np.ndarray:
        return np.asarray(cv2.imread(str(self.masks[t]), cv2.IMREAD_GRAYSCALE))

    def _unpack(self, t: int) -> bytes:
        if not 1 <= t < len(self):
            raise IndexError(f"no flow for frame {t}")
        return lzma.decompress(self._data[self._ends[t - 1] : self._ends[t]].tobytes())

    def flow(self, t: int) -> np.ndarray:
        h, w = self.shape
        n = 2 * h * w
        raw = np.frombuffer(self._unpack(t), np.uint8)
        delta = np.stack([raw[:n], raw[n : 2 * n]], 1).copy().view("<i2").reshape(2, h, w)
        steps = np.cumsum(delta, axis=2, dtype=np.int16)
        return (steps.transpose(1, 2, 0) / self._scale).astype(np.float32)

    def occluded(self, t: int) -> np.ndarray:
        h, w = self.shape
        bits = np.frombuffer(self._unpack(t), np.uint8)[4 * h * w :]
        return np.unpackbits(bits, count=h * w).reshape(h, w).astype(bool)
