"""Files and folders that exist only while something is being made, and how they become what was asked for.

Each has a hidden name beside its place that cannot be guessed, is created new (never through a link that somebody
laid there), and is locked as long as its process lives. So it can be told from one whose process is gone, be that by a
crash, a kill or a power cut: the next run that makes something in the same folder removes those. All that this
process has are known here, so that they can be removed when it is told to end, whatever it is doing at that moment.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from segnst import interrupts

try:
    import fcntl
except ImportError:  # without locks nobody knows whose process is gone, so nothing stale is removed
    fcntl = None  # type: ignore[assignment]

_STEM_BYTES = 120  # of a name; file systems allow 255, and the token and the suffix need some of them
_HIDDEN = re.compile(r"\..*\.segnst-[0-9a-f]{12}(\.[^.]{1,11})?", re.DOTALL)
# What file systems without hard links answer.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}

_guard = threading.RLock()  # held while something is created, put into its place or removed
_own: dict[Path, int] = {}  # temporary -> the handle that holds its lock
_folders: list[Path] = []  # made for an output that is not there yet
_finished: list[Path] = []  # outputs that are complete
_resumable: list[Path] = []  # journals that the same command can go on from
_swept: set[Path] = set()
_closed = False  # the process is ending: nothing new is begun


def hidden_name(path: Path) -> Path:
    """A name beside ``path`` that is hidden, cannot be guessed and has the same suffix; nothing is created.

    The suffix stays because many writers choose the kind of file by it. ``path`` may name a folder as well.
    """
    stem = os.fsencode(path.stem)[:_STEM_BYTES].decode(errors="ignore")
    suffix = path.suffix if len(path.suffix) <= 12 else ""
    return path.with_name(f".{stem}.segnst-{secrets.token_hex(6)}{suffix}")


def create(path: Path, *, folder: bool = False) -> Path:
    """A new, empty temporary file or folder beside ``path``, with the permissions of any new one. Raises OSError.

    It is to be given to ``put`` or ``remove``. Those that ended processes left in the same folder are removed.
    """
    _sweep(path.parent)
    while True:
        with interrupts.deferred(), _guard:
            if _closed:
                raise KeyboardInterrupt
            temporary = hidden_name(path)
            if folder:
                temporary.mkdir()
                handle = os.open(temporary, os.O_RDONLY)
            else:
                handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            # Another process may have taken it for a stale one in the moment before the lock.
            if _lock(handle) is not False and _is_at(handle, temporary):
                _own[temporary.absolute()] = handle
                return temporary
            os.close(handle)


def remove(temporary: Path) -> bool:
    """Remove a temporary file or folder if it is still there, and say whether it is gone. Never raises OSError."""
    with interrupts.deferred(), _guard:
        gone = _delete(temporary)
        _forget(temporary)
    return gone


def put(temporary: Path, path: Path, *, replace: bool) -> None:
    """Let a complete temporary file become ``path``, at once. A link there is replaced, not what it points at.

    Raises FileExistsError if there is something by now and it is not to be replaced; OSError.
    """
    with interrupts.deferred(), _guard:
        if replace:
            temporary.replace(path)
        else:
            move_new(temporary, path)
        _done(temporary, path)


def put_folder(temporary: Path, path: Path) -> None:
    """Let a complete temporary folder become ``path``; a folder that is there is deleted. Raises OSError.

    A folder cannot be replaced in one step; the old one is out of the way only for a moment, under a name that is not
    taken for something temporary if the process is killed right then.
    """
    with interrupts.deferred(), _guard:
        if path.is_symlink() or path.exists():
            old = path.with_name(f".{path.name[:40]}.replaced-{secrets.token_hex(6)}")
            path.rename(old)
            try:
                temporary.rename(path)
            except OSError:
                old.rename(path)
                raise
            _delete(old)
        else:
            temporary.rename(path)
        _done(temporary, path)


def move_new(source: Path, path: Path) -> None:
    """Give a file another name, which must be free. Raises FileExistsError, OSError."""
    try:
        os.link(source, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path)) from None
        source.rename(path)
    else:
        source.unlink()


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A temporary folder beside ``beside``, gone at the end unless it was put somewhere. Raises OSError."""
    folder = create(beside, folder=True)
    try:
        yield folder
    finally:
        remove(folder)


@contextmanager
def folders_made(folders: Sequence[Path]) -> Iterator[None]:
    """Folders (the innermost first) that were made for an output; those that are empty go when an error is raised."""
    with interrupts.deferred():
        _folders[:0] = folders
    try:
        yield
    except BaseException:
        with interrupts.deferred():
            _remove_empty(folders)
        raise
    finally:
        _folders[:] = [f for f in _folders if f not in folders]


def note_finished(path: Path) -> None:
    """Remember that ``path`` is complete and stays, for what is said if the process is told to end."""
    place = path.absolute()
    if not any(own in place.parents for own in _own):
        _finished.append(path)


def note_resumable(journal: Path) -> None:
    """Remember that a journal holds something that is done, for what is said if the process is told to end."""
    if journal not in _resumable:
        _resumable.append(journal)


def forget_resumable(journal: Path) -> None:
    """The journal is not needed any more."""
    if journal in _resumable:
        _resumable.remove(journal)


def resumable() -> tuple[Path, ...]:
    """Journals that the same command can go on from."""
    return tuple(_resumable)


def begin() -> None:
    """A run begins: nothing is finished yet."""
    global _closed
    _closed = False
    _finished.clear()
    _resumable.clear()
    _swept.clear()


def finished() -> tuple[Path, ...]:
    """What became complete since ``begin``."""
    return tuple(dict.fromkeys(_finished))


def remove_all() -> tuple[Path, ...]:
    """The process ends: remove everything temporary, begin nothing new, and return what could not be removed."""
    global _closed
    with interrupts.deferred(), _guard:
        _closed = True
        left = tuple(each for each in list(_own) if not remove(each))
        _remove_empty(list(_folders))
    return left


def _done(temporary: Path, path: Path) -> None:
    _forget(temporary)
    note_finished(path)


def _forget(temporary: Path) -> None:
    handle = _own.pop(temporary.absolute(), None)
    if handle is not None:
        os.close(handle)


def _delete(path: Path) -> bool:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            # Under another name, nothing that still writes into it by its path can make a file while it is emptied.
            gone = hidden_name(path)
            path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
            return not gone.exists()
        path.unlink(missing_ok=True)
    return not os.path.lexists(path)


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _lock(handle: int) -> bool | None:
    """Whether the lock could be had: True, False (another process has it), None (there are no locks here)."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat(follow_symlinks=False))
    except OSError:
        return False


def sweep(folder: Path) -> None:
    """Remove what ended processes left in a folder, such as those of this run's own workers."""
    with _guard:
        _swept.discard(folder.absolute())
    _sweep(folder)


def _sweep(folder: Path) -> None:
    """Remove what ended processes left in a folder; once a run for each folder."""
    place = folder.absolute()
    if place in _swept or any(own == place or own in place.parents for own in _own):
        return
    _swept.add(place)
    with suppress(OSError):
        for entry in list(os.scandir(place)):
            if _HIDDEN.fullmatch(entry.name) and (entry.is_file(follow_symlinks=False) or entry.is_dir()):
                _remove_stale(Path(entry.path))


def _remove_stale(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if _lock(handle) and _is_at(handle, path):
                _delete(path)
        finally:
            os.close(handle)


def _in_child() -> None:
    """A process that was forked has nothing of its own; what its parent has is its parent's to remove."""
    global _guard
    _guard = threading.RLock()
    _own.clear()
    _folders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
