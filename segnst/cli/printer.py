"""Printing the events of a job and its report.

Progress goes to stderr: a bar on a terminal, and elsewhere a line every few seconds. ``--progress json`` prints every
event as a line of JSON for other programs. Warnings are always printed.
"""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import fields
from types import TracebackType
from typing import TYPE_CHECKING, Any

from segnst.errors import UsageError, did_you_mean
from segnst.jobs.events import (
    Context,
    Event,
    Failed,
    Frames,
    Input,
    JobReport,
    Measured,
    Note,
    Stage,
    Step,
    Thumbnail,
    Warned,
)

if TYPE_CHECKING:
    from rich.progress import Progress

PAUSE = 0.2  # seconds between two updates of a bar, or two counts of frames in JSON
EVERY = 5.0  # seconds between two lines
KINDS = ("auto", "bar", "lines", "json", "none")


class Display(ABC):
    """One way to show events on stderr."""

    def __init__(self) -> None:
        self.named = ""  # which of several inputs it is
        self._steps = False  # whether steps are shown; the number of frames is then left out

    def __call__(self, event: Event) -> None:
        if isinstance(event, Input):
            self.named = f"{event.number}/{event.count} {event.path.name}  " if event.count != 1 else ""
        elif isinstance(event, Warned):
            self.line(f"segnst: warning: {event.message}")
        elif isinstance(event, Note):
            self.line(event.message)
        elif isinstance(event, Stage):
            self._steps = False
        elif isinstance(event, Failed):
            named = str(event.path) in event.message or event.path.name in event.message
            self.line(f"segnst: {event.message}" if named else f"segnst: {event.path}: {event.message}")
        elif isinstance(event, Measured):
            content, style = event.values["content"], event.values["style"]
            self.line(f"{event.method}: content {content:.3g}  style {style:.3g}  {event.seconds:.1f} s")
        elif isinstance(event, Step):
            self._steps = True
            self.step(event)
        elif isinstance(event, Frames) and not self._steps:
            self.frames(event)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        print(text, file=sys.stderr, flush=True)

    @abstractmethod
    def frames(self, event: Frames) -> None:
        """Show how many frames are done."""

    @abstractmethod
    def step(self, event: Step) -> None:
        """Show the losses of a step."""

    def close(self) -> None:
        """The job is over."""
        self.named = ""


class Warnings(Display):
    """Only warnings, and what failed."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned | Failed):
            super().__call__(event)

    def frames(self, event: Frames) -> None:
        pass

    def step(self, event: Step) -> None:
        pass


class Lines(Display):
    """A line every few seconds, and one after every tenth of the steps of an optimization.

    A run that is over sooner prints none: its summary says enough.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last, self._shown = time.monotonic(), False

    def frames(self, event: Frames) -> None:
        now, over = time.monotonic(), event.done == event.expected
        if now - self._last >= EVERY or (over and self._shown):
            self._last, self._shown = now, not over
            self.line(self.named + _counted(event))

    def step(self, event: Step) -> None:
        step = int(event.losses["step"])
        if step in (1, event.steps) or not step % max(1, event.steps // 10):
            self.line(self.named + _losses(event))


class Bar(Display):
    """A bar that is overwritten, drawn by rich."""

    def __init__(self) -> None:
        super().__init__()
        self._last = float("-inf")
        self._bar: Progress | None = None

    def line(self, text: str) -> None:
        if self._bar is None:
            super().line(text)
        else:
            self._bar.console.out(text, highlight=False)

    def frames(self, event: Frames) -> None:
        self._show(event.done, event.expected, _counted(event))

    def step(self, event: Step) -> None:
        self._show(int(event.losses["step"]), event.steps, _losses(event))

    def _show(self, done: int, total: int | None, text: str) -> None:
        now = time.monotonic()
        if now - self._last < PAUSE and done != total:
            return
        bar = self._bar = self._bar or _rich_bar()
        # An estimate can be too low; a bar of an unknown length is better than one that is full and goes on.
        total = None if total is not None and done > total else total
        bar.update(bar.task_ids[0], completed=done, total=total, text=self.named + text, visible=True)
        bar.refresh()
        self._last = time.monotonic()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Json(Display):
    """Every event as one line of JSON: its kind as ``event``, and its fields."""

    def __init__(self) -> None:
        super().__init__()
        self._last = float("-inf")

    def __call__(self, event: Event) -> None:
        if isinstance(event, Thumbnail):
            return
        if isinstance(event, Frames):
            now = time.monotonic()
            if now - self._last < PAUSE and event.done != event.expected:
                return
            self._last = now
        values: dict[str, Any] = {f.name: getattr(event, f.name) for f in fields(event)}
        self.line(json.dumps({"event": type(event).__name__.lower(), **values}, default=str))

    def frames(self, event: Frames) -> None:
        pass

    def step(self, event: Step) -> None:
        pass


class Printer:
    """A listener that prints events; as a context manager, it ends the bar.

    Jobs run in ``context``. Work that is not a job calls ``progress`` with (frames done, expected frames or None).

    kind  of ``KINDS``. Raises UsageError for another.
    """

    def __init__(self, quiet: bool = False, kind: str = "auto") -> None:
        if kind not in KINDS:
            raise UsageError(f"--progress must be one of {', '.join(KINDS)}, got '{kind}'.{did_you_mean(kind, KINDS)}")
        if quiet:
            kind = "none"
        elif kind == "auto":
            kind = "bar" if sys.stderr.isatty() else "lines"
        self._display: Display = {"bar": Bar, "lines": Lines, "json": Json, "none": Warnings}[kind]()  # type: ignore[abstract]
        self.context = Context(self)

    def __enter__(self) -> Printer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.close()

    def __call__(self, event: Event) -> None:
        self._display(event)

    def progress(self, done: int, expected: int | None) -> None:
        """Show the number of frames, as for a Frames event."""
        self.context.frames(done, expected)


def _rich_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    class Visible(Console):
        def show_cursor(self, show: bool = True) -> bool:
            """Leave the cursor alone: a process that has to end at once could not bring it back."""
            return False

    console = Visible(file=sys.stderr, highlight=False)
    bar = Progress(
        BarColumn(bar_width=24), TextColumn("{task.fields[text]}", markup=False), console=console, auto_refresh=False,
        redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip
    bar.start()
    bar.add_task("", total=None, text="", visible=False)
    return bar


def _counted(event: Frames) -> str:
    if not event.expected:
        return f"{event.done} frames  {event.pace:.2f} frames/s"
    return f"{event.done}/{event.expected}  {event.pace:.2f} frames/s  {_clock(event.left or 0)} left"


def _losses(event: Step) -> str:
    losses, step = event.losses, int(event.losses["step"])
    number = f"frame {event.frame + 1}  " if "frame" in losses else ""
    return (
        f"{number}step {step}/{event.steps}  {losses['size']} px  total {losses['total']:.4g}  "
        f"content {losses['content']:.3g}  style {losses['style']:.3g}  {_clock(event.left)} left"
    )


def _clock(seconds: float) -> str:
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours}:{minutes:02d}:{seconds % 60:02.0f}" if hours else f"{minutes}:{seconds % 60:02.0f}"


def print_json(report: JobReport, indent: int = 2) -> None:
    """Print a report as JSON."""
    print(json.dumps(report.as_dict(), indent=indent))
