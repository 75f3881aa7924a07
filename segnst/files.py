"""Writing files completely or not at all, and the suffixes of picture files.

Every file that segnst leaves behind is written under a hidden name in the same folder and renamed at the end. During
the writing, or after a crash, the folder has either the old file or the new one, never half of one.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segnst.errors import OutputError, ResourceError, SegnstError

# The kinds of pictures that are read and written as frames, photos, paintings and outputs.
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_STEM_BYTES = 120  # bytes kept of the stem; file systems allow 255 in all, and the token and the suffix need some


def hidden_name(path: Path) -> Path:
    """A name in the folder of ``path`` that is hidden, cannot be guessed and has the same suffix; nothing is created.

    The suffix stays because many writers choose the kind of file by it. ``path`` may name a folder as well.
    """
    stem = os.fsencode(path.stem)[:_STEM_BYTES].decode(errors="ignore")
    suffix = path.suffix if len(path.suffix) <= 12 else ""
    return path.with_name(f".{stem}.segnst-{secrets.token_hex(6)}{suffix}")


@contextmanager
def written_whole(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary file to write into; at the end it becomes ``path``, replacing what is there.

    The temporary file is always a new one (never reached through an existing link), with the permissions that this
    process gives to new files. It is removed when anything is raised, KeyboardInterrupt included; ``path`` then stays
    as it was. The caller decides beforehand whether ``path`` may be replaced.

    durable  wait until the content is on the disk before the renaming, so that a power cut cannot leave it empty
    Raises OSError, and whatever the caller raises.
    """
    path = Path(path)
    temporary = hidden_name(path)
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    mode = os.fstat(handle).st_mode & 0o777
    os.close(handle)
    try:
        yield temporary
        temporary.chmod(mode)  # safetensors replaces the file by one that only its owner may read
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file, completely or not at all; an existing file is replaced.

    Raises OutputError where it cannot be written and ResourceError where the disk is full.
    """
    path = Path(path)
    try:
        with written_whole(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise output_error(error, path) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file, completely or not at all. Raises as :func:`write_bytes` does."""
    write_bytes(path, text.encode())


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
    if number in _FORBIDDEN:
        return OutputError(f"{path} may not be written: permission denied.")
    return OutputError(f"{path} cannot be written ({reason(error)}).")
