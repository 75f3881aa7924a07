"""stdout and stderr of any kind: closed, full, or in an encoding that cannot hold a name.

What is said on stderr is a courtesy: where nobody can hear it, the run is none the worse. What is asked for on stdout
is the result, so its loss is a failure.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from segnst.errors import OutputError
from segnst.files import reason


class _Forgiving:
    """A stream whose words are lost where they cannot be written, without an error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            silence(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            silence(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare() -> None:
    """Make stdout and stderr such that printing any name works. Safe to call again."""
    # A file that is opened while one of the three is closed would get its number, and whatever a library prints.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    codecs.register_error("segnst", _any_name)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
            setattr(sys, name, stream)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="segnst")
    if not isinstance(sys.stdout, _Asked):
        sys.stdout = _Asked(sys.stdout)
    if not isinstance(sys.stderr, _Forgiving):
        sys.stderr = _Forgiving(sys.stderr)


def _any_name(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes of a file's name that are no text come out as they are; characters that the encoding lacks as escapes."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def silence(stream: TextIO) -> None:
    """Let everything that is written to a stream from now on go nowhere, so that Python does not fail as it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def flush() -> None:
    """Make sure that what was printed on stdout has arrived. Raises OutputError, or BrokenPipeError."""
    with _asked_for():
        sys.stdout.flush()


@contextmanager
def _asked_for() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise OutputError(f"stdout cannot be written ({reason(error)}), so what was asked for is lost.") from error


class _Asked:
    """stdout, where what cannot be written is a failure that is told in a sentence."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _asked_for():
            return self._stream.write(text)

    def flush(self) -> None:
        with _asked_for():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def print_path(path: object) -> None:
    """Say on stdout what was written. The work is done and in its file, so it stays a success if nobody reads this."""
    try:
        print(path, flush=True)
    except (OSError, OutputError):
        silence(sys.stdout)
