"""Writing files completely or not at all, and the suffixes of picture files.

Every file that segnst leaves behind is written under a hidden name in the same folder and renamed at the end. During
the writing, or after a crash, the folder has either the old file or the new one, never half of one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segnst import temporaries
from segnst.errors import OutputError, ResourceError, SegnstError

# The kinds of pictures that are read and written as frames, photos, paintings and outputs.
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
# These are read as well, as styles for example.
READ_SUFFIXES = PICTURE_SUFFIXES | {".gif", ".avif", ".heic", ".heif", ".jp2", ".pgm", ".ppm", ".pnm"}

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def written_whole(path: str | os.PathLike[str], *, durable: bool = False, replace: bool = True) -> Iterator[Path]:
    """Give a temporary file to write into; at the end it becomes ``path``.

    The temporary file is created new (never through a link that somebody laid there) with the permissions that a
    new file gets from this process, and keeps them. It is removed when anything is raised, KeyboardInterrupt
    included; ``path`` then stays as it was. Write into the file itself: another one under its name has no lock and
    could be taken for one whose process is gone.

    durable  wait until the content is on the disk before the renaming, so that a power cut cannot leave it empty
    replace  what is there (a link, not what it points at); otherwise FileExistsError is raised in that case
    Raises OSError, and whatever the caller raises.
    """
    path = Path(path)
    temporary = temporaries.create(path)
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporaries.put(temporary, path, replace=replace)
    finally:
        temporaries.remove(temporary)


def write_bytes(path: str | os.PathLike[str], data: bytes, *, replace: bool = True) -> None:
    """Write a file, whole or not at all; what is there is replaced, unless ``replace`` is false.

    Raises OutputError where it cannot be written and ResourceError where the disk is full.
    """
    path = Path(path)
    try:
        with written_whole(path, replace=replace) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise output_error(error, path) from error


def write_text(path: str | os.PathLike[str], text: str, *, replace: bool = True) -> None:
    """Write a UTF-8 text file, whole or not at all. Raises as :func:`write_bytes` does."""
    write_bytes(path, text.encode(), replace=replace)


def reason(error: BaseException) -> str:
    """The first line of an error's message, without its final period."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0].rstrip(".")


def output_error(error: BaseException, path: Path) -> SegnstError:
    """What to raise when ``path`` cannot be written."""
    number = getattr(error, "errno", None)
    if isinstance(error, SegnstError):
        return error
    if number in _FULL:
        return ResourceError(f"The disk is full: {path} could not be completed and was not kept.")
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return ResourceError(f"Memory ran out while writing {path}; try a smaller --max-size.")
    if isinstance(error, FileExistsError):
        return OutputError(f"{path} exists already; choose another name or allow --overwrite.")
    if number in _FORBIDDEN:
        return OutputError(f"{path} may not be written: permission denied.")
    return OutputError(f"{path} cannot be written ({reason(error)}).")
