"""The journal of a run: a folder with the chunks that are done, and with what is needed to go on after them.

::

    .film.mp4.segnst-journal/
        job.json        what the run is of (segnst.jobs.chunks.identity), and how it is divided
        lock            held by the process that works on it
        00000.packets   the encoded frames of a chunk (a folder of PNGs, if that is the output)
        00000.state     what its last frame leaves for the next one; only the latest two are kept
        00000.json      says that the chunk is complete: frames, SHA-256, index of the packets

Every file appears under its name only when it is complete and on the disk, and the JSON of a chunk comes last. So
whatever ends a process, the journal holds whole chunks only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segnst import interrupts, temporaries
from segnst.errors import InputError, UsageError
from segnst.files import output_error
from segnst.jobs.chunks.identity import Facts, differences
from segnst.jobs.chunks.place import VERSION, read_about, take
from segnst.jobs.chunks.saved import load, save
from segnst.jobs.chunks.start import Start
from segnst.video.chunks import Packets, move_durably


@dataclass(frozen=True, slots=True)
class Done:
    """A chunk that is complete.

    frames  number of its frames;  final  whether the film ends with it
    sha256  of its packets, or of names and content of its PNGs
    index   of its packets; None for a folder of PNGs
    """

    frames: int
    final: bool
    sha256: str
    index: Packets | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        index = None if self.index is None else self.index.as_dict()
        return {"frames": self.frames, "final": self.final, "sha256": self.sha256, "index": index}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Done:
        """The reverse of ``as_dict``. Raises KeyError, TypeError or ValueError for anything else."""
        index = None if values["index"] is None else Packets.from_dict(values["index"])
        return cls(int(values["frames"]), bool(values["final"]), str(values["sha256"]), index)


class Journal:
    """The journal of one run, open and locked; a context manager that lets go of it.

    done   {number: chunk} of the chunks that are complete and undamaged
    plan   how the run is divided and computed, as it was when the journal was begun
    """

    def __init__(self, folder: Path, facts: Facts, plan: dict[str, Any], lock: int) -> None:
        self.folder, self.facts, self.plan = folder, facts, plan
        self.done: dict[int, Done] = {}
        self.damaged: list[int] = []
        self._lock = lock
        self._read()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the journal, which stays as it is. Safe to call twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def remove(self) -> None:
        """Delete the journal."""
        with suppress(OSError):
            shutil.rmtree(self.folder, ignore_errors=True)
        temporaries.forget_resumable(self.folder)
        self.close()

    @property
    def frames(self) -> int:
        """Number of frames that are done."""
        return sum(chunk.frames for chunk in self.done.values())

    def chunk(self, number: int) -> Path:
        """The file or folder of a chunk."""
        return self.folder / (
            f"{number:05d}.packets" if self.facts["settings"]["output"] != "folder" else f"{number:05d}"
        )

    def missing(self) -> int | None:
        """The first chunk that is not done; None if the film is complete."""
        number = 0
        while number in self.done:
            if self.done[number].final:
                return None
            number += 1
        return number

    def start_of(self, number: int, device: torch.device) -> Start:
        """The latest place at or before chunk ``number`` from which one can go on."""
        for before in range(number, 0, -1):
            path = self.folder / f"{before - 1:05d}.state"
            if path.exists():
                with suppress(InputError):
                    found = load(path, device)
                    if isinstance(found, Start) and found.chunk == before:
                        return found
        return Start()

    def commit(self, number: int, frames: int, final: bool, index: Packets | None, after: Start | None) -> None:
        """Note that a chunk, whose file is in its place, is complete.

        after  where to go on behind it, if chunks are styled one after another

        Raises OutputError, ResourceError.
        """
        if after is not None:
            save(self.folder / f"{number:05d}.state", after)
        done = Done(frames, final, _digest(self.chunk(number)), index)
        write_whole(self.folder / f"{number:05d}.json", done.as_dict())
        self.done[number] = done
        temporaries.note_resumable(self.folder)
        for old in self.folder.glob("*.state"):
            if old.stem.isdecimal() and int(old.stem) < number - 1:
                with suppress(OSError):
                    old.unlink()

    def _read(self) -> None:
        for path in sorted(self.folder.glob("*.json")):
            if not re.fullmatch(r"[0-9]{5,}", path.stem):
                continue
            number = int(path.stem)
            try:
                done = Done.from_dict(json.loads(path.read_bytes()))
                whole = _digest(self.chunk(number)) == done.sha256
            except (OSError, ValueError, KeyError, TypeError):
                whole = False
            if whole:
                self.done[number] = done
            else:
                self.damaged.append(number)
        if self.done:
            temporaries.note_resumable(self.folder)


def open_journal(folder: Path, facts: Facts, plan: dict[str, Any], *, output: Path, restart: bool = False) -> Journal:
    """Begin a journal, or go on with the one that is there.

    facts    what the run is of;  plan  how to divide and compute it, if the journal is new
    restart  throw away the journal that is there

    Raises UsageError if the journal is of something else or in use, InputError if it is damaged or of another version,
    OutputError if it cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        raise output_error(error, folder) from error
    try:
        take(lock, folder)
        if restart:
            _empty(folder)
        about = read_about(folder)
        if about is None:
            _empty(folder)
            about = {"version": VERSION, "began": time.time(), "output": str(output), "facts": facts, "plan": plan}
            write_whole(folder / "job.json", about)
        if found := differences(about["facts"], facts):
            raise UsageError(
                f"The journal {folder} cannot be gone on with: {'; '.join(found)}. Give the same as then, or begin "
                "anew with --restart."
            )
        return Journal(folder, facts, about["plan"], lock)
    except BaseException:
        os.close(lock)
        raise


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        if each.name != "lock":
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink()


def write_whole(path: Path, values: dict[str, Any]) -> None:
    """Write JSON that appears only when it is complete and on the disk. Raises OutputError, ResourceError."""
    try:
        temporary = temporaries.create(path)
        try:
            temporary.write_text(json.dumps(values), encoding="utf-8")
            with interrupts.deferred():
                move_durably(temporary, path)
        finally:
            temporaries.remove(temporary)
    except OSError as error:
        raise output_error(error, path) from error


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of names and content of the files in a folder. Raises OSError."""
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        digest.update(file.name.encode(errors="surrogateescape") + b"\0" if path.is_dir() else b"")
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
