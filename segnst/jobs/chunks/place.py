"""Where journals are, what they say of themselves, and who works on them. Nothing here needs torch."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from segnst.errors import InputError, UsageError

try:
    import fcntl
except ImportError:  # two runs on one journal are then not told apart
    fcntl = None  # type: ignore[assignment]

VERSION = 1
SUFFIX = ".segnst-journal"
GROUPS = ("source", "settings", "masks", "weights", "versions")  # of the facts that a journal is of
_LONGEST = 180  # bytes of the output's name in that of the journal; file systems allow 255 in all


def journal_path(output: Path, work: str | Path | None = None) -> Path:
    """Where the journal of an output is: hidden beside it, or in the folder ``work``, named after the whole path."""
    name = os.fsencode(output.name)[:_LONGEST].decode(errors="ignore")
    if work is None and name == output.name:
        return output.with_name(f".{name}{SUFFIX}")
    place = hashlib.sha256(os.fsencode(os.path.abspath(output))).hexdigest()[:8]  # noqa: PTH100 - links stay
    if work is None:
        return output.with_name(f".{name}-{place}{SUFFIX}")
    return Path(work) / f"{name}-{place}{SUFFIX}"


def read_about(folder: Path) -> dict[str, Any] | None:
    """The content of ``job.json``; None if the journal was not begun. Raises InputError if it cannot be used."""
    path = folder / "job.json"
    try:
        about = json.loads(path.read_bytes())
        version = about["version"]
        if version == VERSION:
            for group in GROUPS:
                dict(about["facts"][group])
            dict(about["plan"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The journal {folder} is damaged ({error}); begin anew with --restart.") from error
    if version != VERSION:
        raise InputError(
            f"The journal {folder} is of another version of segnst (journal {version}, this one reads {VERSION}); "
            "begin anew with --restart."
        )
    return dict(about)


def take(lock: int, folder: Path) -> None:
    """Lock a journal by its open lock file, as long as this process lives. Raises UsageError if another run has it."""
    if fcntl is None:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"Another run is working on the journal {folder}; wait for it, or end it first.") from None
    except OSError:  # a file system without locks
        return
