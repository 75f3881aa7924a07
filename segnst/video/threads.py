"""Two bounded queues between threads that cannot hang or lose an exception.

``Producer`` runs a generator in a thread, and the caller iterates over its items. ``Consumer`` runs a function in a
thread for the items that the caller puts. An exception in the thread is raised again in the caller. When the caller
closes its side, the thread stops after the current item.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# Seconds that a blocked side waits before it checks whether the other side still runs.
_TICK = 0.05


class _End:
    """Marks the end of the items, with the exception that ended them, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Producer(Generic[T]):
    """Iterates over ``source`` in a separate thread, at most ``depth`` items ahead of the caller."""

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
        """Stop the thread and wait for it; remaining items are dropped. Safe to call twice."""
        self._done = True
        self._stop.set()
        self._thread.join()


class Consumer(Generic[T]):
    """Calls ``sink(item)`` in a separate thread for each item that is ``put``, in order."""

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
        """Add an item. Waits while ``depth`` items are pending. Raises the exception of the thread, if any."""
        self._offer(item)

    def finish(self) -> None:
        """Wait until all items are consumed. Raises the exception of the thread, if any."""
        if self._thread.is_alive():
            self._offer(_End())
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        """Drop pending items, stop the thread and wait for it. Never raises; safe to call twice."""
        self._stop.set()
        self._thread.join()
