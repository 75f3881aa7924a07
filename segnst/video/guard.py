"""Convert errors of PyAV, OpenCV and the operating system to those of segnst."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from segnst.errors import InputError, ResourceError, SegnstError
from segnst.files import output_error, reason

# One slash is enough because Path merges two slashes.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+\w")
# PyAV would print FFmpeg's messages to stderr. The errors of segnst contain what matters of them.
av.logging.set_level(None)


def input_error(error: BaseException, path: Path) -> SegnstError:
    """The error of segnst to raise when ``path`` cannot be opened or read because of ``error``."""
    number = getattr(error, "errno", None)
    if isinstance(error, SegnstError):
        return error
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return ResourceError(f"Memory ran out while reading {path}; try a smaller --max-size.")
    if isinstance(error, FileNotFoundError):
        return InputError(f"There is no file or folder {path}.")
    if isinstance(error, PermissionError):
        return InputError(f"{path} may not be read: permission denied.")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{path} is a folder, not a file.")
    return InputError(f"{path} cannot be read as a video or picture ({reason(error)}).")


# Errors that PyAV and the operating system raise for problems with a file or a codec. PyAV raises
# ValueError for a codec that a container does not support, and LookupError for an unknown codec.
LIBRARY_ERRORS = (av.FFmpegError, OSError, MemoryError, ValueError, LookupError)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert errors of libraries inside the ``with`` to an InputError or ResourceError about ``path``."""
    try:
        yield
    except LIBRARY_ERRORS as error:
        raise input_error(error, path) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert errors of libraries inside the ``with`` to an OutputError or ResourceError about ``path``."""
    try:
        yield
    except LIBRARY_ERRORS as error:
        raise output_error(error, path) from error


def check_kind(path: Path) -> None:
    """Raise InputError if ``path`` is neither a file nor a folder, because opening a pipe could block."""
    if str(path) == "-":
        raise InputError("Standard input cannot be read here; write it to a file and give its path.")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if _ADDRESS.match(str(path)):
            address = str(path).replace(":/", "://", 1)  # a path joins the two slashes
            raise InputError(f"{address} is a network address; download it and give the path of the file.") from None
        raise
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(
            f"{path} is a pipe or a device, which cannot be read here; write it to a file and give its path."
        )
