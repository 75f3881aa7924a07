"""Listing, showing and removing journals: ``segnst jobs``. Nothing here needs torch."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segnst.errors import InputError, OutputError, UsageError
from segnst.jobs.chunks.place import SUFFIX, journal_path, read_about, take

# Where outputs are by default.
PLACES = (Path(), Path("results"))


@dataclass(frozen=True, slots=True)
class Listed:
    """A journal as it is listed.

    began   when, in seconds since 1970;  output  what it is a journal of
    chunks, frames  that are done;  complete  whether the film is, so that only the output has to be made
    bytes   of the whole journal;  in_use  whether a run is working on it
    problem  why it cannot be gone on with, or ""
    """

    journal: Path
    output: str
    began: float
    chunks: int
    frames: int
    complete: bool
    bytes: int
    in_use: bool
    problem: str = ""
    settings: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """All fields by their names, as JSON takes them."""
        return {name: getattr(self, name) for name in self.__slots__} | {"journal": str(self.journal)}

    def line(self) -> str:
        """One line for people."""
        if self.problem:
            return f"{self.journal}  {self.problem}"
        state = "in use" if self.in_use else "complete" if self.complete else "can be resumed"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.began))
        return f"{self.output}  {self.frames} frames in {self.chunks} chunks  {_size(self.bytes)}  {when}  {state}"


def find_journals(folders: Sequence[Path] = ()) -> list[Listed]:
    """The journals directly in ``folders`` (this one and ``results/`` if none is given). Raises InputError."""
    found: dict[Path, Path] = {}
    for folder in folders or [place for place in PLACES if place.is_dir()]:
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}.")
        for each in sorted(folder.iterdir()):
            if each.name.endswith(SUFFIX) and each.is_dir() and not each.is_symlink():
                found.setdefault(each.resolve(), each)
    return [look_at(each) for each in found.values()]


def look_at(journal: Path) -> Listed:
    """What a journal holds, as its own files say."""
    about: dict[str, Any] | None = None
    problem = ""
    try:
        about = read_about(journal)
        problem = "was not begun" if about is None else ""
    except InputError as error:
        problem = str(error)
    chunks = frames = 0
    complete = False
    for path in journal.glob("*.json"):
        if re.fullmatch(r"[0-9]{5,}", path.stem):
            with suppress(OSError, ValueError, KeyError, TypeError):
                values = json.loads(path.read_bytes())
                frames, complete, chunks = frames + int(values["frames"]), complete or bool(values["final"]), chunks + 1
    size = 0
    for folder, _, names in os.walk(journal):
        for name in names:
            with suppress(OSError):
                size += (Path(folder) / name).lstat().st_size
    about = about or {}
    return Listed(
        journal, str(about.get("output", "")), float(about.get("began", 0)), chunks, frames, complete, size,
        _in_use(journal), problem, about.get("facts", {}).get("settings"),
    )  # fmt: skip


def journal_named(name: Path) -> Path:
    """The journal that is meant by its own path, or by that of its output. Raises InputError."""
    for each in (name, journal_path(name)):
        if each.name.endswith(SUFFIX) and each.is_dir() and not each.is_symlink():
            return each
    raise InputError(f"There is no journal {name}, and none of an output of that name beside it; see segnst jobs list.")


def remove_journal(journal: Path) -> None:
    """Delete a journal. Raises UsageError if a run is working on it, OutputError if it cannot be deleted."""
    if _in_use(journal):
        raise UsageError(f"A run is working on the journal {journal}; end it first.")
    try:
        shutil.rmtree(journal)
    except OSError as error:
        raise OutputError(f"The journal {journal} cannot be removed ({error.strerror}).") from error


def _in_use(journal: Path) -> bool:
    try:
        lock = os.open(journal / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        take(lock, journal)
    except UsageError:
        return True
    finally:
        os.close(lock)
    return False


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
