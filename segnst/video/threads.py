"""Two bounded hand-overs between threads that can neither hang nor swallow an exception.

``Producer`` runs a generator in a thread and is iterated by the caller; ``Consumer`` runs a
function in a thread and is fed by the caller. An exception on the other side is raised on this
one, as itself; closing one side stops the other within one item.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# How long a blocked side sleeps before it looks whether the other one is still there.
_TICK = 0.05


class _End:
    """Marks the end of a stream; carries the exception that ended it, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Producer(Generic[T]):
    """Iterates ``source`` in a thread of its own, at most ``depth`` items ahead of the caller."""

    def __init__(self, source: Iterator[T], depth: int = 3, name: str = "segnst-read") -> None:
        self._source = source
        self._items: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        self._done = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        end = _End()
        try:
            for item in self._source:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - it is raised again in the consumer
            end = _End(error)
        finally:
            try:
                close = getattr(self._source, "close", None)
                if close is not None:
                    close()
            except BaseException as error:  # noqa: BLE001
                end = end if end.error else _End(error)
            self._put(end)

    def _put(self, item: T | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._items.put(item, timeout=_TICK)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Producer[T]:
        return self

    def __next__(self) -> T:
        if self._done:
            raise StopIteration
        while True:
            try:
                item = self._items.get(timeout=1.0)
                break
            except queue.Empty:
                if not self._thread.is_alive() and self._items.empty():
                    self._done = True
                    raise StopIteration from None
        if isinstance(item, _End):
            self._done = True
            self._thread.join()
            if item.error is not None:
                raise item.error
            raise StopIteration
        return item

    def close(self) -> None:
        """Stop the thread and wait for it; items not yet taken are dropped. Safe to call twice."""
        self._done = True
        self._stop.set()
        self._thread.join()


class Consumer(Generic[T]):
    """Calls ``sink(item)`` in a thread of its own for everything that is ``put``, in order."""

    def __init__(self, sink: Callable[[T], None], depth: int = 3, name: str = "segnst-write") -> None:
        self._sink = sink
        self._items: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    item = self._items.get(timeout=_TICK)
                except queue.Empty:
                    continue
                if isinstance(item, _End):
                    return
                self._sink(item)
        except BaseException as error:  # noqa: BLE001 - it is raised again in put() or finish()
            self._error = error

    def _offer(self, item: T | _End) -> None:
        while True:
            if self._error is not None:
                raise self._error
            if not self._thread.is_alive():
                raise RuntimeError("The writing thread has ended already.")
            try:
                self._items.put(item, timeout=_TICK)
                return
            except queue.Full:
                continue

    def put(self, item: T) -> None:
        """Hand over one item; waits while ``depth`` are pending; raises what the thread raised."""
        self._offer(item)

    def finish(self) -> None:
        """Wait until everything was consumed; raises what the thread raised."""
        if self._thread.is_alive():
            self._offer(_End())
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        """Drop what is pending, stop the thread and wait for it. Never raises; safe to call twice."""
        self._stop.set()
        self._thread.join()
