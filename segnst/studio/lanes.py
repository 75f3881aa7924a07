"""Masks of objects that were followed through a clip, kept on disk so that other processes find them.

A lane belongs to one object with its marks, in one range of one file. It is a folder with a PNG for each frame and a
line of text for each: number, seconds, confidence, and the share of the frame that the object covers.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segnst.config import Settings

NEAR = 2e-3  # seconds by which the times of one frame may differ


def fingerprint(path: Path) -> str:
    """Changes when the file does."""
    status = path.stat()
    return f"{path}:{status.st_size}:{status.st_mtime_ns}"


def digest(*parts: Any) -> str:
    """A short name for values that can be written as JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def marked_alone(settings: Settings, name: str) -> Settings:
    """The settings with the boxes and points of one object only, and without styles."""

    def mine(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(text for text in texts if text.partition(":")[0] == name)

    box, point, not_point = mine(settings.box), mine(settings.point), mine(settings.not_point)
    return replace(settings, styles=(), box=box, point=point, not_point=not_point)


@dataclass
class Lane:
    """What is known of one object along the clip.

    rows  (seconds, confidence, share of the frame) of each frame so far, in order
    """

    folder: Path
    rows: list[tuple[float, float, float]] = field(default_factory=list)

    @classmethod
    def of(cls, work: Path, path: Path, settings: Settings, name: str) -> Lane:
        """The lane of an object, with the rows that are on disk."""
        one = marked_alone(settings, name)
        key = digest(fingerprint(path), one.start, one.end, one.box, one.point, one.not_point)
        lane = cls(work / "lanes" / key)
        lane.read()
        return lane

    def read(self) -> None:
        """Take up the rows that are on disk."""
        try:
            lines = (self.folder / "rows.txt").read_text().splitlines()
        except OSError:
            lines = []
        self.rows = []
        for line in lines:
            seconds, confidence, share = map(float, line.split())
            self.rows.append((seconds, confidence, share))

    @property
    def complete(self) -> bool:
        """Whether the object was followed to the end."""
        return (self.folder / "complete").exists()

    def begin(self) -> None:
        """Begin anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "rows.txt").write_text("")
        self.rows = []

    def add(self, seconds: float, confidence: float, mask: np.ndarray) -> None:
        """Add the next frame with its mask, float [h,w] in [0,1]."""
        _, data = cv2.imencode(".png", (mask * 255).round().astype(np.uint8))
        (self.folder / f"{len(self.rows):06d}.png").write_bytes(bytes(data))
        self.rows.append((seconds, confidence, float(mask.mean())))
        with (self.folder / "rows.txt").open("a") as file:
            file.write(f"{seconds} {confidence:.3f} {mask.mean():.6f}\n")

    def end(self) -> None:
        """Note that the last frame was added."""
        (self.folder / "complete").touch()

    def mask_at(self, seconds: float) -> np.ndarray | None:
        """The mask of the frame at a time, float [h,w] in [0,1], or None if it is not known."""
        times = [row[0] for row in self.rows]
        at = bisect.bisect_left(times, seconds - NEAR)
        if at >= len(times) or abs(times[at] - seconds) > NEAR:
            return None
        found = cv2.imread(str(self.folder / f"{at:06d}.png"), cv2.IMREAD_GRAYSCALE)
        return None if found is None else found.astype(np.float32) / 255
