"""Ending at once but in order: what Ctrl-C, SIGTERM and a terminal that was closed (SIGHUP) do to a run.

The first signal raises KeyboardInterrupt in the main thread, as Python does by itself; everything that a run has
begun is then cleaned up on the way out. Later ones must not disturb that, so they raise nothing. Where the way out
takes too long (a library that does not return, an exception that a library swallowed), a second signal ends the
process after a short while, from a thread that does not depend on the main one.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
GRACE = 3.0  # seconds that the main thread has left after a second signal


class _State:
    """What has been received. Changed by the main thread only, except ``over``."""

    def __init__(self) -> None:
        self.received = self.waiting = self.finished = False
        self.depth = 0
        self.over = threading.Event()


_state = _State()
_pipe: tuple[int, int] | None = None


def install(leave: Callable[[], None]) -> None:
    """Take the signals from now on, until ``finish``. Does nothing outside of the main thread.

    leave  ends the process without the help of the main thread. It is called from another thread.

    A signal that the process was started with ignoring stays ignored (``nohup``, jobs in the background).
    """
    global _pipe, _state
    if threading.current_thread() is not threading.main_thread():
        return
    _state = _State()
    if _pipe is None:
        _pipe = os.pipe()
        os.set_blocking(_pipe[1], False)
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(_state, _pipe[0], leave), name="segnst-signals", daemon=True).start()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _take)


def finish() -> None:
    """The run is over, one way or the other; signals that come while Python ends change nothing any more."""
    _state.finished = True
    _state.over.set()
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is _take:  # Python would give it back its deadly default as it ends
                signal.signal(number, signal.SIG_IGN)


def finished() -> bool:
    """Whether ``finish`` was called."""
    return _state.finished


def received() -> bool:
    """Whether a signal has asked this process to end."""
    return _state.received


def check() -> None:
    """Raise KeyboardInterrupt if a signal came: a library may have swallowed the one that was raised then."""
    if _state.received and not _state.finished:
        raise KeyboardInterrupt


@contextmanager
def deferred() -> Iterator[None]:
    """What happens inside is not interrupted; a signal that came meanwhile is raised at the end."""
    state = _state
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    state.depth += 1
    try:
        yield
    finally:
        state.depth -= 1
        if not state.depth and state.waiting:
            state.waiting = False
            raise KeyboardInterrupt


def _take(signum: int, frame: object) -> None:
    if _state.received or _state.finished:
        return
    _state.received = True
    if _state.depth:
        _state.waiting = True
    else:
        raise KeyboardInterrupt


def _watch(state: _State, pipe: int, leave: Callable[[], None]) -> None:
    """Count signals as they arrive, whatever the main thread is doing."""
    count = 0
    while count < 2:
        count += sum(number in SIGNALS for number in os.read(pipe, 64))
        if state is not _state:
            return
    if not state.over.wait(GRACE):
        leave()
