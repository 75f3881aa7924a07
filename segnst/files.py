"""Writing a file whole or not at all, and what the names of picture files look like.

Every file that segnst leaves behind is written under a hidden name beside its place and renamed at the end. Whoever
looks into the folder meanwhile, or after a crash, finds either the old file or the new one, never half of one.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segnst.errors import OutputError, ResourceError, SegnstError

# Kinds of pictures that are read and written everywhere: as frames, photos, paintings and outputs.
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_STEM_BYTES = 120  # of a name; file systems allow 255, and the token and the suffix need some of them


def hidden_name(path: Path) -> Path:
    """A name beside ``path`` that is hidden, cannot be guessed and has the same suffix; nothing is created.

    The suffix stays because many writers choose the kind of file by it. ``path`` may name a folder as well.
    """
    stem = os.fsencode(path.stem)[:_STEM_BYTES].decode(errors="ignore")
    suffix = path.suffix if len(path.suffix) <= 12 else ""
    return path.with_name(f".{stem}.segnst-{secrets.token_hex(6)}{suffix}")


@contextmanager
def written_whole(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary file to write into; at the end it becomes ``path``, replacing what is there.

    The temporary file is created new (never through a link that somebody laid there) with the permissions that a
    new file gets from this process, and keeps them. It is removed when anything is raised, KeyboardInterrupt
    included; ``path`` then stays as it was. The caller decides beforehand whether ``path`` may be replaced.

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
        temporary.chmod(mode)  # safetensors puts another file there, which only its owner may read
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file, whole or not at all; what is there is replaced.

    Raises OutputError where it cannot be written and ResourceError where the disk is full.
    """
    path = Path(path)
    try:
        with written_whole(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise output_error(error, path) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file, whole or not at all. Raises as :func:`write_bytes` does."""
    write_bytes(path, text.encode())


def reason(error: BaseException) -> str:
    """The shortest honest text of an error."""
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
