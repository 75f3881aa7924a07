"""Standard output as an output: ``-`` on the command line."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from segnst import interrupts
from segnst.errors import OutputError
from segnst.video.pipes import STANDARD

_TICK = 0.2  # seconds between two looks at whether waiting still makes sense
# A write of this many bytes to a pipe that select calls writable does not block (POSIX).
_UNBLOCKED = getattr(select, "PIPE_BUF", 512)


class StandardOutput:
    """Takes the bytes of an output. While it is in use, everything that is printed on stdout goes to stderr."""

    name = STANDARD

    def __init__(self) -> None:
        sys.stdout.flush()
        try:
            self._handle = os.dup(1)
        except OSError:
            raise OutputError("Standard output is closed, so nothing can be written to it.") from None
        if os.isatty(self._handle):
            os.close(self._handle)
            raise OutputError("Standard output is a terminal; pipe it into a program, or name a file with -o.")
        os.dup2(2, 1)
        mode = os.fstat(self._handle).st_mode
        self._piece = 1 << 20 if stat.S_ISREG(mode) or os.name != "posix" else _UNBLOCKED
        self._stopped = self._closed = False
        self._until: float | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Write all of ``data``; waits for the reader. Raises OSError, BrokenPipeError if the reader has gone."""
        view, done = memoryview(data), 0
        while done < len(view):
            if self._stopped or (interrupts.received() if self._until is None else time.monotonic() > self._until):
                raise InterruptedError("standard output is not written any more")
            if self._piece > _UNBLOCKED or select.select([], [self._handle], [], _TICK)[1]:
                done += os.write(self._handle, view[done : done + self._piece])
        return done

    def finish(self, seconds: float) -> None:
        """Go on for this long although the process was told to end, so that what is written is complete."""
        self._until = time.monotonic() + seconds

    def stop(self) -> None:
        """End all waiting for the reader."""
        self._stopped = True

    def close(self) -> None:
        """Give stdout back to what is printed. Safe to call twice."""
        if not self._closed:
            self._closed = True
            with suppress(OSError):
                sys.stdout.flush()
            os.dup2(self._handle, 1)
            os.close(self._handle)


_output: StandardOutput | None = None


@contextmanager
def standard_output(wanted: bool = True) -> Iterator[None]:
    """Within this, stdout belongs to the output ``-``, and what is printed goes to stderr. Raises OutputError."""
    global _output
    if not wanted or _output is not None:
        yield
        return
    _output = StandardOutput()
    try:
        yield
    finally:
        _output.close()
        _output = None


def take_stdout() -> None:
    """Begin what :func:`standard_output` does, until :func:`give_stdout_back`: for a command. Raises OutputError."""
    global _output
    if _output is None:
        _output = StandardOutput()


def give_stdout_back() -> None:
    """End what :func:`take_stdout` began, if it was called."""
    global _output
    if _output is not None:
        _output.close()
        _output = None


def output() -> StandardOutput:
    """What writes to stdout, inside of :func:`standard_output`."""
    if _output is None:
        raise OutputError("Standard output was not opened for data.")
    return _output
