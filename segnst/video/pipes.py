"""Standard input and named pipes as input: ``-`` on the command line.

A pipe can be read only once and cannot be rewound, but a video file is opened several times: its header is probed, its
frames are decoded, and its sound is copied. So a :class:`Tape` keeps what was received and plays it to each of them
from the beginning. After :func:`release`, it keeps only what those that are still reading have not read yet.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segnst import interrupts
from segnst.errors import InputError

STANDARD = "-"  # the name of standard input and standard output
# Bytes that a tape may keep: for the probing, for what needs a look at later frames, and for sound that comes late.
MOST = 512 * 1024 * 1024
PATIENCE = 30.0  # seconds to wait for a program that writes into a named pipe
_PIECE = 64 * 1024
_TICK = 0.2  # seconds between two looks at whether waiting still makes sense


class Tape:
    """What was received from a pipe so far. Several threads may play it.

    path  ``-`` for standard input, or a named pipe

    Raises InputError if there is nothing to read from.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Without O_NONBLOCK, opening a named pipe would wait for a program that writes into it, perhaps for ever.
        named = str(path) != STANDARD
        self._handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if named else _standard_input()
        self._deadline = time.monotonic() + PATIENCE if named else None
        self._pieces: deque[bytes] = deque()
        self._begins = self._ends = 0  # positions in the stream of the pieces that are kept
        self._over = self._closed = self._woken = False
        self._openings: int | None = None  # how often it may still be opened; None: any number of times
        self._latest: Player | None = None
        self._held: set[Player] = set()  # the players for which data is kept after the release
        self._guard = threading.Lock()  # of all of the above
        self._receiving = threading.Lock()  # held while the pipe is read

    def open(self) -> Player:
        """A player at the beginning. Raises InputError if the beginning is not kept any more."""
        with self._guard:
            if self._openings == 0 or self._begins:
                raise InputError(f"{self.path} is a pipe, which can be read only once; write it to a file first.")
            self._latest = Player(self)
            if self._openings is not None:
                self._openings -= 1
                self._held.add(self._latest)
            return self._latest

    def hold(self) -> Player | None:
        """Keep data for the player that was opened last also after the release, until :meth:`forget`."""
        with self._guard:
            if self._latest is not None:
                self._held.add(self._latest)
            return self._latest

    def forget(self, player: Player) -> None:
        """Keep nothing for this player any more."""
        with self._guard:
            self._held.discard(player)

    def release(self) -> None:
        """Allow one more opening; from then on, keep only what it and the held players have not read yet."""
        with self._guard:
            self._openings = 1

    def close(self) -> None:
        """End all waiting and let the pipe go. Safe to call twice."""
        with self._guard:
            self._closed, closed = True, self._closed
        if not closed:
            with self._receiving:
                os.close(self._handle)

    @contextmanager
    def woken(self) -> Iterator[None]:
        """Within this, nobody waits for the pipe: who would wait gets an OSError."""
        self._woken = True
        try:
            yield
        finally:
            self._woken = False

    def at(self, position: int, size: int) -> bytes:
        """At most ``size`` bytes from ``position`` on; waits for them. Empty at the end of the stream."""
        while True:
            with self._guard:
                if position < self._ends:
                    return self._kept(position, size)
                if self._over:
                    return b""
            with self._receiving:
                if position >= self._ends and not self._over:
                    data = self._receive()
                    with self._guard:
                        self._keep(data)

    def _kept(self, position: int, size: int) -> bytes:
        begins = self._begins
        for piece in self._pieces:
            if position < begins + len(piece):
                return piece[position - begins : position - begins + size]
            begins += len(piece)
        raise AssertionError("the position lies in a piece that was let go")

    def _keep(self, data: bytes) -> None:
        if not data:
            self._over = True
            return
        self._pieces.append(data)
        self._ends += len(data)
        if self._openings == 0:
            needed = min((player.position for player in self._held), default=self._ends)
            while self._pieces and self._begins + len(self._pieces[0]) <= needed:
                self._begins += len(self._pieces.popleft())
        if self._ends - self._begins > MOST:
            raise InputError(
                f"{self.path} is a pipe, which can be read only once, and what was asked for needs more of it at "
                f"a time than {MOST >> 20} MiB; write it to a file first."
            )

    def _receive(self) -> bytes:
        while not (self._closed or self._woken or interrupts.received()):
            if os.name != "posix" or select.select([self._handle], [], [], _TICK)[0]:
                data = os.read(self._handle, _PIECE)
                if data or self._deadline is None:
                    self._deadline = None
                    return data
                time.sleep(_TICK)  # no program has opened the pipe yet; the end of a stream looks the same
            if self._deadline is not None and time.monotonic() > self._deadline:
                raise InputError(f"Nothing was written into the pipe {self.path} for {PATIENCE:g} seconds.")
        raise InterruptedError(f"{self.path} is not read any more")


class Player:
    """Reads a tape from its beginning. FFmpeg takes an object that cannot seek for a stream."""

    def __init__(self, tape: Tape) -> None:
        self.position = 0
        self._tape = tape

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most ``size`` of them (-1: at most some). Empty at the end."""
        data = self._tape.at(self.position, _PIECE if size < 0 else size)
        self.position += len(data)
        return data


_tapes: dict[Path, Tape] = {}


def is_pipe(path: Path) -> bool:
    """Whether ``path`` means standard input or is a named pipe."""
    if str(path) == STANDARD:
        return True
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


def begin(path: Path) -> None:
    """Open the tape of a pipe, to be ended by :func:`end`. Raises InputError, OSError."""
    if path not in _tapes:
        _tapes[path] = Tape(path)


def end(path: Path) -> None:
    """Close the tape of ``path`` if it has one."""
    tape = _tapes.pop(path, None)
    if tape is not None:
        tape.close()


def tape_of(path: Path) -> Tape | None:
    """The tape of a pipe between :func:`begin` and :func:`end`, else None."""
    return _tapes.get(path)


def release(path: Path) -> None:
    """If ``path`` is a pipe, the next one to open it is the last: see :meth:`Tape.release`."""
    tape = _tapes.get(path)
    if tape is not None:
        tape.release()


@contextmanager
def woken(path: Path) -> Iterator[None]:
    """Within this, nobody waits for ``path``, if it is a pipe."""
    tape = _tapes.get(path)
    if tape is None:
        yield
        return
    with tape.woken():
        yield


def head(path: Path) -> bytes:
    """What a pipe has delivered first: at least 64 bytes, unless it ended before."""
    player, data = _tapes[path].open(), b""
    while len(data) < 64 and (more := player.read()):
        data += more
    return data


def contents(path: Path, limit: int) -> bytes | None:
    """All bytes of a pipe, or the first ``limit`` and one; None if ``path`` has no tape."""
    tape = _tapes.get(path)
    if tape is None:
        return None
    player, parts, size = tape.open(), list[bytes](), 0
    while size <= limit and (data := player.read()):
        parts.append(data)
        size += len(data)
    return b"".join(parts)[: limit + 1]


def _standard_input() -> int:
    try:
        handle = os.dup(0)
    except OSError:
        raise InputError("Standard input is closed; pipe a video into it, or give the path of a file.") from None
    if os.isatty(handle):
        os.close(handle)
        raise InputError("Standard input is a terminal; pipe a video into it, or give the path of a file.")
    return handle
