"""A progress bar on stderr: frames a second and time left. Nothing when quiet or not a terminal."""

from __future__ import annotations

import sys
import time


class ProgressBar:
    """Call it with (frames done, frames expected or None)."""

    def __init__(self, quiet: bool = False, width: int = 30) -> None:
        self.shown = not quiet and sys.stderr.isatty()
        self.width = width
        self.began = self.last = time.monotonic()

    def __call__(self, done: int, expected: int | None) -> None:
        now = time.monotonic()
        if not self.shown or (now - self.last < 0.2 and done != expected):
            return
        self.last = now
        pace = done / max(now - self.began, 1e-6)
        text = f"{done} frames  {pace:.2f} frames/s"
        if expected:
            full = min(self.width, self.width * done // expected)
            left = max(0, expected - done) / pace if pace else 0
            bar = "#" * full + "." * (self.width - full)
            text = f"[{bar}] {done}/{expected}  {pace:.2f} frames/s  {left // 60:.0f}:{left % 60:02.0f} left"
        print(f"\r{text}  ", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.shown:
            print(file=sys.stderr)
