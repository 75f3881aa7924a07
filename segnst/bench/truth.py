"""The truth of a rendered clip: exact optical flow, occlusion and classes (``videos/X/`` beside ``videos/X.mp4``)."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np

from segnst.errors import InputError


def read_npz(path: Path, *names: str) -> tuple[np.ndarray, ...]:
    """Arrays of an npz file by name. Raises OSError, or ValueError for any damaged content."""
    with path.open("rb") as file:  # np.load leaves a file that it cannot read open
        try:
            with np.load(file, allow_pickle=False) as z:
                return tuple(z[name] for name in names)
        except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, TypeError) as error:
            raise ValueError(str(error)) from error


class Truth:
    """Reads a folder of truth; frames count from 0, frame 0 has no flow.

    >>> truth = Truth("videos/street")
    >>> truth.mask(0)      # class of every pixel of the first frame
    >>> truth.flow(5)      # position in frame 4 = position in frame 5 + flow
    >>> truth.occluded(5)  # not visible in frame 4

    shape  (H, W)
    cuts   numbers of the frames that begin a new shot; flow is zero there and everything is occluded

    Raises InputError when the folder holds no truth or damaged truth.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.masks = sorted((self.folder / "masks").glob("*.png"))
        try:
            shape, scale, ends, data, cuts = read_npz(
                self.folder / "flow.npz", "shape", "scale", "ends", "data", "cuts"
            )
            self.shape: tuple[int, int] = (int(shape[0]), int(shape[1]))
            self._scale, self._ends, self._data = int(scale), ends, data
            self.cuts: tuple[int, ...] = tuple(int(c) - 1 for c in cuts)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.folder / 'flow.npz'} is not the truth of a rendered clip ({error}).") from error

    def __len__(self) -> int:
        """The number of frames whose truth is known."""
        return len(self._ends)

    def mask(self, t: int) -> np.ndarray:
        """Class of each pixel, uint8 [H,W]: 0 other, 1 sky, … 6 person, 7 vehicle. Raises InputError, IndexError."""
        mask = cv2.imread(str(self.masks[t]), cv2.IMREAD_GRAYSCALE)
        if mask is None or mask.shape != self.shape:
            raise InputError(f"{self.masks[t]} is not a mask of {self.shape[1]}x{self.shape[0]} pixels.")
        return np.asarray(mask)

    def _unpack(self, t: int) -> bytes:
        if not 1 <= t < len(self):
            raise IndexError(f"no flow for frame {t}")
        try:
            return lzma.decompress(self._data[self._ends[t - 1] : self._ends[t]].tobytes())
        except lzma.LZMAError as error:
            raise InputError(f"{self.folder / 'flow.npz'} is damaged at frame {t} ({error}).") from error

    def flow(self, t: int) -> np.ndarray:
        """Backward flow, float32 [H,W,2] as (x, y) px: position in t-1 = position in t + flow."""
        h, w = self.shape
        n = 2 * h * w
        raw = np.frombuffer(self._unpack(t), np.uint8)
        # The low bytes of all values come before the high bytes; each value is the difference to its left neighbor.
        delta = np.stack([raw[:n], raw[n : 2 * n]], 1).copy().view("<i2").reshape(2, h, w)
        steps = np.cumsum(delta, axis=2, dtype=np.int16)
        return (steps.transpose(1, 2, 0) / self._scale).astype(np.float32)

    def occluded(self, t: int) -> np.ndarray:
        """True where the point was not visible in frame t-1 (hidden, or outside the frame); bool [H,W]."""
        h, w = self.shape
        bits = np.frombuffer(self._unpack(t), np.uint8)[4 * h * w :]
        return np.unpackbits(bits, count=h * w).reshape(h, w).astype(bool)


def truth_of(path: str | Path) -> Truth | None:
    """The truth beside a video, or None: ``street.mp4`` has it in the folder ``street/``."""
    folder = Path(path).with_suffix("")
    return Truth(folder) if folder != Path(path) and (folder / "flow.npz").is_file() else None
