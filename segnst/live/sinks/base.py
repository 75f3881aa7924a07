"""What a live output is, and a thread for outputs that may be slow."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from segnst.config import Settings

_WAITING = 8  # pictures that may wait for a slow output before it misses some
_WAITING_SOUND = 500
_LEAVE = 5.0  # seconds that an output has to complete itself


@dataclass(frozen=True, slots=True)
class Spec:
    """What an output will get: pictures of this size (width, height), about so many a second, and perhaps sound.

    sound  (samples a second, channels), or None
    """

    size: tuple[int, int]
    rate: Fraction
    sound: tuple[int, int] | None
    settings: Settings


class Sink(ABC):
    """A live output. ``begin`` comes first, and ``finish`` or ``abort`` last; all from one thread.

    name      as the user calls it
    threaded  whether it may run in a thread of its own; a window must not
    """

    threaded = True

    def __init__(self, name: str) -> None:
        self.name = name

    def begin(self, spec: Spec) -> None:
        """Open it. Raises SegnstError, PyAV's errors or OSError."""
        del spec

    @abstractmethod
    def picture(self, pixels: np.ndarray, time: float) -> None:
        """Take a picture, uint8 RGB [H,W,3], that shows ``time`` in seconds of the run; times increase."""

    def sound(self, frame: av.AudioFrame, time: float) -> None:
        """Take a piece of the source's sound."""
        del frame, time

    def key(self) -> str:
        """The key that was pressed in it since the last call, if any."""
        return ""

    @abstractmethod
    def finish(self) -> None:
        """Everything was given: complete it."""

    @abstractmethod
    def abort(self) -> None:
        """Let go of it; does not raise."""


class Runner:
    """Runs a sink, in a thread if it allows that; a sink that fails or is slow holds nothing else up.

    failed  the error that ended it, or None
    missed  pictures that it was too slow for
    """

    def __init__(self, sink: Sink, spec: Spec) -> None:
        self.sink = sink
        self.failed: BaseException | None = None
        self.missed = 0
        self._spec = spec
        self._todo: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._pictures = 0
        self._guard = threading.Lock()
        self._left = False
        self._thread: threading.Thread | None = None
        if sink.threaded:
            self._thread = threading.Thread(target=self._run, name=f"segnst-live {sink.name}", daemon=True)
            self._thread.start()
        else:
            sink.begin(spec)

    def picture(self, pixels: np.ndarray, time: float) -> None:
        """Give a picture; it must not be changed afterwards."""
        if self.failed is not None:
            return
        if self._thread is None:
            self._try(lambda: self.sink.picture(pixels, time))
            return
        with self._guard:
            if self._pictures >= _WAITING:
                self.missed += 1
                return
            self._pictures += 1

        def give() -> None:
            with self._guard:
                self._pictures -= 1
            self.sink.picture(pixels, time)

        self._todo.put(give)

    def sound(self, frame: av.AudioFrame, time: float) -> None:
        """Give sound, from any thread."""
        if self.failed is None and self._thread is not None and self._todo.qsize() < _WAITING_SOUND:
            self._todo.put(lambda: self.sink.sound(frame, time))

    def finish(self) -> bool:
        """Complete the output; False if it did not come to its end in time."""
        if self._thread is None:
            self._try(self.sink.finish)
            return True
        self._todo.put(None)
        self._thread.join(timeout=_LEAVE)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.sink.begin(self._spec)
            while (todo := self._todo.get()) is not None:
                todo()
            self.sink.finish()
        except BaseException as error:  # noqa: BLE001 - the loop says it
            self.failed = error
            self.sink.abort()

    def _try(self, what: Callable[[], Any]) -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001 - the loop says it
            self.failed = error
            self.sink.abort()
