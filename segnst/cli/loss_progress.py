"""Falling losses on stderr: one line that is written over on a terminal, a line every tenth of the steps elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping


class LossLine:
    """Call it with (frame from 0, steps expected, losses of the step)."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet, self.terminal = quiet, sys.stderr.isatty()
        self.frame, self.last, self.began = -1, 0.0, time.monotonic()

    def __call__(self, frame: int, steps: int, losses: Mapping[str, float]) -> None:
        if self.quiet:
            return
        now, step = time.monotonic(), int(losses["step"])
        if frame != self.frame:
            self.frame, self.began = frame, now
        if self.terminal:
            if now - self.last < 0.2 and step != steps:
                return
        elif step != 1 and step != steps and step % max(1, steps // 10):
            return
        self.last = now
        left = (steps - step) * (now - self.began) / max(1, step - 1)
        number = f"frame {frame + 1}  " if "frame" in losses else ""
        text = (
            f"{number}step {step}/{steps}  {losses['size']} px  total {losses['total']:.4g}  "
            f"content {losses['content']:.3g}  style {losses['style']:.3g}  {left // 60:.0f}:{left % 60:02.0f} left"
        )
        print(f"\r{text}   " if self.terminal else text, end="" if self.terminal else "\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self.terminal and not self.quiet and self.frame >= 0:
            print(file=sys.stderr)
