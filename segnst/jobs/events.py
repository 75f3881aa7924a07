"""The events that a job sends while it runs, and how a job is cancelled.

The command line, a web page and a worker all run a job in the same way: ``job(input, output, settings, context=…)``.
The job sends events to the listener of its context. Between two frames (or two steps of an optimization) it asks the
context whether it was cancelled. If so, it leaves no files behind; otherwise it returns its report.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segnst import interrupts
from segnst.errors import Cancelled, SegnstWarning

if TYPE_CHECKING:  # the command line prints events without having loaded torch
    import numpy as np
    from torch import Tensor

THUMBNAIL = 160  # px of the long side of a thumbnail


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class Stage(Event):
    """Another part of the work begins; ``name`` describes it in a few words."""

    name: str


@dataclass(frozen=True, slots=True)
class Input(Event):
    """Another input of several begins.

    number  of this one, from 1;  count  of all, or None where nobody knows how many will come
    """

    path: Path
    number: int
    count: int | None


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """One input of several could not be styled; ``message`` says why. The others go on."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class Frames(Event):
    """Some frames of the current stage are done.

    done      number of frames so far;  expected  number of all frames (an estimate for videos), or None
    pace      frames per second since the stage began;  left  seconds until the last frame, or None
    """

    done: int
    expected: int | None
    pace: float
    left: float | None


@dataclass(frozen=True, slots=True)
class Step(Event):
    """One step of an optimization is done.

    frame   number of the frame that is painted, from 0;  steps  largest number of steps for this frame
    losses  {name: value} of this step, with ``step`` (from 1) and ``size`` (px of the long side)
    left    seconds until the last step of this frame
    """

    frame: int
    steps: int
    losses: Mapping[str, float | int]
    left: float


@dataclass(frozen=True, slots=True)
class Measured(Event):
    """A study has measured one of its methods: ``values`` by their names, and ``seconds`` per picture."""

    method: str
    values: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something was done differently than the input or the request suggests. The report contains it as well."""

    message: str


@dataclass(frozen=True, slots=True)
class Note(Event):
    """Something worth knowing about what is done or was done, in a sentence or two."""

    message: str


@dataclass(frozen=True, slots=True)
class Thumbnail(Event):
    """The reduced result of frame number ``frame`` (from 0).

    picture  uint8 RGB [h,w,3], at most 160 px on the long side
    """

    frame: int
    picture: np.ndarray


Listener = Callable[[Event], None]


class Context:
    """Connects one run of a job with its caller: it passes events to a listener and carries a request to cancel.

    listener    called with every event, in the thread that runs the job. An error that it raises ends the job as an
                error of the job itself would
    thumbnails  least number of seconds between two thumbnails; with None, or without a listener, none are made

    ``cancel`` may be called from any thread and from the listener. A context can be used for one run only.
    """

    def __init__(self, listener: Listener | None = None, *, thumbnails: float | None = None) -> None:
        self._listener = listener
        self._pause = thumbnails
        self._cancelled = threading.Event()
        self._began = self._stepping = time.monotonic()
        self._shown: float | None = None
        self.warned: list[str] = []

    def cancel(self) -> None:
        """Ask the job to stop. It stops before its next frame or step, unless its result is complete by then."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Called by a job wherever it may stop. Raises Cancelled, and KeyboardInterrupt after a signal to end."""
        interrupts.check()
        if self.cancelled:
            raise Cancelled("The job was cancelled; nothing was left behind.")

    def tell(self, event: Event) -> None:
        """Send an event to the listener, if there is one."""
        if self._listener is not None:
            self._listener(event)

    def stage(self, name: str) -> None:
        """Announce that a stage begins, and start to measure its pace. Raises Cancelled."""
        self.tell(Stage(name))
        self._began = time.monotonic()
        self.check()

    def frames(self, done: int, expected: int | None, *, before: int = 0) -> None:
        """Report how many frames of this stage are done, ``before`` of them in an earlier run. Raises Cancelled."""
        pace = (done - before) / max(time.monotonic() - self._began, 1e-6)
        left = max(0, expected - done) / pace if expected and pace else None
        self.tell(Frames(done, expected, pace, left))
        self.check()

    def step(self, frame: int, steps: int, losses: Mapping[str, float | int]) -> None:
        """Report the losses of one step of an optimization. Raises Cancelled."""
        number = int(losses["step"])
        if number == 1:
            self._stepping = time.monotonic()
        left = (steps - number) * (time.monotonic() - self._stepping) / max(1, number - 1)
        self.tell(Step(frame, steps, losses, left))
        self.check()

    def warn(self, message: str) -> None:
        """Send a warning, unless the same text was sent before; ``warned`` lists all texts."""
        if message not in self.warned:
            self.warned.append(message)
            self.tell(Warned(message))

    def note(self, message: str) -> None:
        """Tell something worth knowing."""
        self.tell(Note(message))

    @property
    def shows(self) -> bool:
        """Whether a thumbnail would be sent now: thumbnails are wanted, and the last one is old enough."""
        if self._listener is None or self._pause is None:
            return False
        return self._shown is None or time.monotonic() - self._shown >= self._pause

    def thumbnail(self, frame: int, rgb: Tensor) -> None:
        """Send a thumbnail of a result [1,3,H,W] in [0,1], if ``shows`` is true."""
        if self.shows:
            self._shown = time.monotonic()
            self.tell(Thumbnail(frame, _reduced(rgb)))

    @contextmanager
    def loading(self, name: str = "load the weights") -> Iterator[list[str]]:
        """A stage in which SegnstWarnings are sent as events and collected in the list that is yielded.

        Python's handling of warnings is a setting of the whole process, so two jobs should not load at the same time.
        """
        said: list[str] = []
        self.stage(name)
        with warnings.catch_warnings():
            warnings.simplefilter("always", SegnstWarning)
            usual = warnings.showwarning

            def hear(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
                if not issubclass(category, SegnstWarning):
                    usual(message, category, *place, **more)
                elif str(message) not in said:
                    said.append(str(message))
                    self.warn(str(message))

            warnings.showwarning = hear
            yield said


def _reduced(rgb: Tensor) -> np.ndarray:
    """[1,3,H,W] in [0,1] -> uint8 RGB [h,w,3], at most ``THUMBNAIL`` px on the long side."""
    import torch
    import torch.nn.functional as F

    height, width = rgb.shape[-2:]
    scale = min(1.0, THUMBNAIL / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    with torch.no_grad():
        small = F.interpolate(rgb[:1].float(), size, mode="area")[0].clamp(0, 1)
        picture: np.ndarray = (small * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return picture


@dataclass
class JobReport:
    """Base of the reports that jobs return; a report can be written as JSON."""

    def as_dict(self) -> dict[str, Any]:
        """Return all fields by their names, with paths as text."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
