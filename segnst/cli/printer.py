"""Printing the events of a job and its report.

Progress goes to stderr. On a terminal it is one line that is overwritten. Elsewhere, frames print nothing and an
optimization prints a line after every tenth of its steps. Warnings are always printed.
"""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType

from segnst.jobs.events import Context, Event, Frames, JobReport, Measured, Note, Stage, Step, Warned

WIDTH = 30  # characters of the bar
PAUSE = 0.2  # seconds between two updates of the line on a terminal


class Printer:
    """A listener that prints events; as a context manager, it ends the progress line.

    Jobs run in ``context``. Work that is not a job calls ``progress`` with (frames done, expected frames or None).
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet, self.terminal = quiet, sys.stderr.isatty()
        self.context = Context(self)
        self._last = float("-inf")
        self._open = False  # whether the progress line is not ended yet
        self._steps = False  # whether steps are shown; the number of frames is then left out

    def __enter__(self) -> Printer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_line()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned):
            self._end_line()
            print(f"segnst: warning: {event.message}", file=sys.stderr, flush=True)
        elif self.quiet:
            return
        elif isinstance(event, Note):
            self._end_line()
            print(event.message, file=sys.stderr, flush=True)
        elif isinstance(event, Stage):
            self._steps = False
        elif isinstance(event, Frames):
            self._frames(event)
        elif isinstance(event, Step):
            self._step(event)
        elif isinstance(event, Measured):
            content, style = event.values["content"], event.values["style"]
            self._end_line()
            print(
                f"{event.method}: content {content:.3g}  style {style:.3g}  {event.seconds:.1f} s",
                file=sys.stderr,
                flush=True,
            )

    def progress(self, done: int, expected: int | None) -> None:
        """Show the number of frames, as for a Frames event."""
        self.context.frames(done, expected)

    def _frames(self, event: Frames) -> None:
        if not self.terminal or self._steps or not self._due(event.done == event.expected):
            return
        text = f"{event.done} frames  {event.pace:.2f} frames/s"
        if event.expected:
            full = min(WIDTH, WIDTH * event.done // event.expected)
            bar = "#" * full + "." * (WIDTH - full)
            left = _clock(event.left or 0)
            text = f"[{bar}] {event.done}/{event.expected}  {event.pace:.2f} frames/s  {left} left"
        self._over(f"{text}  ")

    def _step(self, event: Step) -> None:
        self._steps = True
        losses, step = event.losses, int(event.losses["step"])
        number = f"frame {event.frame + 1}  " if "frame" in losses else ""
        text = (
            f"{number}step {step}/{event.steps}  {losses['size']} px  total {losses['total']:.4g}  "
            f"content {losses['content']:.3g}  style {losses['style']:.3g}  {_clock(event.left)} left"
        )
        if self.terminal:
            if self._due(step == event.steps):
                self._over(f"{text}   ")
        elif step in (1, event.steps) or not step % max(1, event.steps // 10):
            print(text, file=sys.stderr, flush=True)

    def _due(self, last: bool) -> bool:
        """Whether enough time has passed to update the line. The last update is always shown."""
        now = time.monotonic()
        if now - self._last < PAUSE and not last:
            return False
        self._last = now
        return True

    def _over(self, text: str) -> None:
        self._open = True
        print(f"\r{text}", end="", file=sys.stderr, flush=True)

    def _end_line(self) -> None:
        if self._open:
            self._open = False
            print(file=sys.stderr)


def _clock(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


def print_json(report: JobReport, indent: int = 2) -> None:
    """Print a report as JSON."""
    print(json.dumps(report.as_dict(), indent=indent))
