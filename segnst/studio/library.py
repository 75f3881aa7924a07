"""The files that the page may use: those named at the start, those in the folders named then, and uploads.

The page knows a file by an identifier and a name. Paths of this machine never leave the server.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segnst.errors import InputError
from segnst.files import PICTURE_SUFFIXES
from segnst.untrusted import is_file
from segnst.video.paths import VIDEO_FORMATS

SUFFIXES = frozenset({
    *VIDEO_FORMATS, *PICTURE_SUFFIXES, ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".avi", ".m4v", ".3gp", ".ogv", ".flv",
    ".wmv", ".y4m", ".avif", ".heic", ".mxf",
})  # fmt: skip
MOST_LISTED = 500
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass
class Source:
    """A file that the page may use.

    id, name   what the page calls it;  facts  what ``MediaDesk.probe`` found, empty until then
    uploaded   whether it came from the page
    """

    id: str
    name: str
    path: Path
    uploaded: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What the page is told."""
        return {"id": self.id, "name": self.name, "uploaded": self.uploaded, **self.facts}

    @property
    def still(self) -> bool:
        """Whether it is one picture."""
        return self.facts.get("kind") == "image"


class Library:
    """All sources, by identifier.

    named   files and folders named at the start;  work  the studio's own folder
    Raises InputError for a name that does not exist.
    """

    def __init__(self, named: Sequence[Path], work: Path) -> None:
        self.uploads = work / "uploads"
        self.files: list[Path] = []
        self.folders: list[Path] = []
        self._known: dict[str, Source] = {}
        self._dropped: dict[str, str] = {}
        for path in named:
            if not path.exists():
                raise InputError(f"{path} does not exist.")
            (self.folders if path.is_dir() else self.files).append(path.resolve())
        for path in self.files:
            self._add(path, path.name)

    def get(self, id: str) -> Source:
        """A source by its identifier. Raises InputError."""
        if id not in self._known:
            self._find(id)
        source = self._known.get(id)
        if source is None or not source.path.is_file():
            raise InputError("There is no such file here any more; open it again.")
        return source

    def listed(self) -> list[dict[str, Any]]:
        """Everything that can be opened, by name; files of folders with the names of their folders below the one that
        was named."""
        found = [self._add(path, path.name) for path in self.files if path.is_file()]
        for folder in self.folders:
            for path, name in self._below(folder):
                found.append(self._add(path, name))
                if len(found) >= MOST_LISTED:
                    break
        return [{"id": s.id, "name": s.name} for s in {s.id: s for s in found}.values()]

    def known(self) -> list[Source]:
        """All sources that were listed, opened or uploaded so far."""
        return list(self._known.values())

    def names(self) -> dict[str, str]:
        """{path: name} of all sources, the last dropped ones too, to say names where a message has paths."""
        return self._dropped | {str(source.path): source.name for source in self._known.values()}

    def by_path(self, text: str) -> Source:
        """A file by a path that was typed. Raises InputError, in the same words for all that is not allowed."""
        refused = InputError(
            f"'{text[:200]}' is not one of the files that this studio may open. "
            "Start it with the file or its folder: segnst studio FOLDER"
        )
        if "\0" in text or not text.strip():
            raise refused
        for root in (None, *self.folders):
            try:
                typed = Path(text.strip()).expanduser()
                path = (typed if root is None else root / typed).resolve()
            except (OSError, RuntimeError, ValueError):
                raise refused from None
            if not self._allowed(path):
                continue
            if is_file(path) and path.suffix.lower() in SUFFIXES:
                folder = next((f for f in self.folders if path.is_relative_to(f)), None)
                return self._add(path, str(path.relative_to(folder)) if folder else path.name)
        raise refused

    def new_upload(self, name: str) -> Source:
        """A source for an upload, whose name on the disk is chosen here. Its folder is new and empty."""
        id = secrets.token_hex(8)
        given = Path(name.replace("\\", "/").replace("\0", "").rpartition("/")[2] or "upload")
        stem, suffix = given.stem, given.suffix
        if suffix.lower() not in SUFFIXES:
            raise InputError(f"Files of the kind '{suffix[:12] or 'without a suffix'}' cannot be opened here.")
        safe = re.sub(r"[^\w-]+", "_", stem)[:60].strip("_") or "upload"
        folder = self.uploads / id
        folder.mkdir(parents=True)
        return Source(id, safe + suffix.lower(), folder / (safe + suffix.lower()), uploaded=True)

    def keep(self, source: Source) -> None:
        """Take in an upload that is complete."""
        self._known[source.id] = source

    def drop(self, source: Source) -> None:
        """Delete an upload."""
        self._known.pop(source.id, None)
        if source.uploaded:
            self._dropped[str(source.path)] = source.name
            while len(self._dropped) > MOST_LISTED:
                del self._dropped[next(iter(self._dropped))]
            _delete(source.path.parent)

    def remove_old(self, days: float, used: frozenset[str]) -> None:
        """Delete uploads that are older, but not those that ``used`` names."""
        for folder in self.uploads.glob("*"):
            if folder.name not in used and time.time() - folder.stat().st_mtime > days * 86400:
                self._known.pop(folder.name, None)
                _delete(folder)

    def _find(self, id: str) -> None:
        """Look for an upload of an earlier run, or a file in the folders."""
        if _ID.fullmatch(id) and (self.uploads / id).is_dir():
            for path in (self.uploads / id).iterdir():
                self._known[id] = Source(id, path.name, path, uploaded=True)
                return
        self.listed()

    def _add(self, path: Path, name: str) -> Source:
        id = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return self._known.setdefault(id, Source(id, name, path))

    def _allowed(self, path: Path) -> bool:
        return path in self.files or any(path.is_relative_to(folder) for folder in self.folders)

    def _below(self, folder: Path) -> Iterator[tuple[Path, str]]:
        """Files in a folder and their names below it; links lead only to what is allowed itself."""
        for place, folders, files in os.walk(folder):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            for file in sorted(files):
                path = Path(place, file)
                if path.suffix.lower() in SUFFIXES and not file.startswith(".") and self._allowed(path.resolve()):
                    yield path.resolve(), str(path.relative_to(folder))


def _delete(folder: Path) -> None:
    for path in folder.glob("*"):
        path.unlink(missing_ok=True)
    folder.rmdir()
