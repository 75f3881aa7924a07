"""The child's side of a worker process: it takes requests from a pipe, answers them, and tells how they get on.

Each worker has a desk, an object whose public methods are the requests that it answers. A method that is a generator
runs in the background: other requests are answered between two of its steps. What it yields is sent as an event, and
what it returns is the answer. Media files are decoded in these processes only, so that a file that makes a decoder
crash ends a worker and not the server.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from segnst.errors import Cancelled, SegnstError
from segnst.interrupts import SIGNALS

# the desk of each role, loaded in the worker's process only
DESKS = {
    "media": "segnst.studio.media:MediaDesk",
    "brush": "segnst.studio.brush:BrushDesk",
    "runner": "segnst.studio.runner:RunnerDesk",
    "press": "segnst.studio.runner:RunnerDesk",
}


@dataclass
class Call:
    """One request in progress.

    tell     sends an event to whoever asked;  on_cancel  called (in another thread) when the request is cancelled
    """

    tell: Callable[[Any], None]
    cancelled: threading.Event = field(default_factory=threading.Event)
    on_cancel: Callable[[], None] | None = None

    def cancel(self) -> None:
        self.cancelled.set()
        if self.on_cancel is not None:
            self.on_cancel()

    def check(self) -> None:
        """Raise Cancelled if the request was cancelled."""
        if self.cancelled.is_set():
            raise Cancelled("It was cancelled.")


class _Child:
    def __init__(self, connection: Connection, desk: Any) -> None:
        self.connection, self.desk = connection, desk
        self.asked: queue.Queue[tuple[int, str, dict[str, Any]] | None] = queue.Queue()
        self.calls: dict[int, Call] = {}
        self.background: dict[int, Generator[Any, None, Any]] = {}
        self.sending = threading.Lock()

    def send(self, *message: Any) -> None:
        with self.sending:
            self.connection.send(message)

    def listen(self) -> None:
        """Receive requests and cancellations until the server is gone, which cancels everything."""
        try:
            while True:
                message = self.connection.recv()
                if message[0] == "cancel":
                    if message[1] in self.calls:
                        self.calls[message[1]].cancel()
                    continue
                _, number, name, values = message
                self.calls[number] = self._call(number)
                self.asked.put((number, name, values))
        except (EOFError, OSError):
            for call in list(self.calls.values()):
                call.cancel()
            self.asked.put(None)

    def _call(self, number: int) -> Call:
        return Call(lambda event: self.send("event", number, event))

    def run(self) -> None:
        while True:
            try:
                item = self.asked.get(block=not self.background)
            except queue.Empty:
                self._step()
                continue
            if item is None:
                return
            self._begin(*item)

    def _begin(self, number: int, name: str, values: dict[str, Any]) -> None:
        call = self.calls[number]
        try:
            call.check()
            result = getattr(self.desk, name)(call, **values)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server has to hear of it
            self._failed(number, error)
            return
        if isinstance(result, Generator):
            self.background[number] = result
        else:
            self._done(number, result)

    def _step(self) -> None:
        """Let the oldest background request take one step, and put it behind the others."""
        number, steps = next(iter(self.background.items()))
        del self.background[number]
        try:
            self.calls[number].check()
            self.send("event", number, next(steps))
            self.background[number] = steps
        except StopIteration as stop:
            self._done(number, stop.value)
        except Exception as error:  # noqa: BLE001 - as above
            steps.close()
            self._failed(number, error)

    def _done(self, number: int, result: Any) -> None:
        self.calls.pop(number, None)
        self.send("answer", number, result)

    def _failed(self, number: int, error: Exception) -> None:
        self.calls.pop(number, None)
        own = isinstance(error, SegnstError)
        words = str(error) if own else f"An unexpected error ({type(error).__name__}: {error})."
        self.send("error", number, type(error).__name__ if own else "Unexpected", words)


def main(connection: Connection, role: str, options: dict[str, Any]) -> None:
    """Run a worker until the server closes the pipe."""
    for number in SIGNALS:  # a terminal sends Ctrl-C to all of its processes; the server decides what ends
        signal.signal(number, signal.SIG_IGN)
    module, _, name = DESKS[role].partition(":")
    child = _Child(connection, None)
    threading.Thread(target=child.listen, daemon=True).start()
    child.desk = getattr(import_module(module), name)(**options)
    try:
        child.run()
    except (BrokenPipeError, OSError):  # the server is gone
        return
