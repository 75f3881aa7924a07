"""What a journal is of: source, settings, weights and versions, and how the differences are told."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segnst.assembly import Parts, versions, weights_used
from segnst.config import Settings
from segnst.video.guard import reading

# Settings that change no picture.
_FREE = {"offline", "audio", "device", "recipe"}
_BLOCK = 1 << 20

Facts = dict[str, dict[str, Any]]


def facts_of(settings: Settings, source: Path, parts: Parts, output: Path, known: Facts | None = None) -> Facts:
    """All that the frames of a run depend on, in the groups source, settings, masks, weights and versions.

    known  facts of an earlier run. Files that have the size and time that they had then are not read again

    Raises InputError.
    """
    before = known or {}
    given = {name: getattr(settings, name) for name in ("masks", "masks_override", "foreground", "background")}
    if settings.segmenter.startswith("files:"):
        given["segmenter"] = settings.segmenter.removeprefix("files:")
    return {
        "source": {"input": fingerprint(source, before.get("source", {}).get("input"))},
        "settings": {k: _plain(v) for k, v in asdict(settings).items() if k not in _FREE}
        | {
            "device": parts.pipeline.device.type,
            "engine": str(parts.engine),
            "output": output.suffix.lower() or "folder",
        },
        "masks": {
            name: fingerprint(Path(path), before.get("masks", {}).get(name)) for name, path in given.items() if path
        },
        "weights": {name: used["sha256"] for name, used in weights_used(parts).items()},
        "versions": {k: v for k, v in versions().items() if k in ("segnst", "torch", "av", "opencv-python")},
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def fingerprint(path: Path, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``{size, modified, sha256}`` of a file, or of all files directly in a folder.

    The SHA-256 covers every byte. It is taken from ``known`` if size and time of modification (in nanoseconds) are
    those, so that a film is read only once. Raises InputError.
    """
    digest, size, modified = hashlib.sha256(), 0, 0
    with reading(path):
        for file in _files(path):
            about = file.stat()
            size, modified = size + about.st_size, max(modified, about.st_mtime_ns)
        if known and (known.get("size"), known.get("modified")) == (size, modified):
            return dict(known)
        for file in _files(path):
            digest.update(file.name.encode(errors="surrogateescape") + b"\0" if path.is_dir() else b"")
            with file.open("rb") as opened:
                while block := opened.read(_BLOCK):
                    digest.update(block)
    return {"size": size, "modified": modified, "sha256": digest.hexdigest()}


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(Path(each.path) for each in os.scandir(path) if each.is_file())
    else:
        yield path


def differences(then: Facts, now: Facts) -> list[str]:
    """What differs between two runs, in words; empty if nothing does. The time of modification does not count."""
    found = []
    if _content(then["source"]) != _content(now["source"]):
        found.append("the input has changed")
    for name in sorted({*then["masks"], *now["masks"]}):
        if _content(then["masks"].get(name)) != _content(now["masks"].get(name)):
            found.append(f"the files of {name.replace('_', '-')} have changed")
    for name in sorted({*then["weights"], *now["weights"]}):
        if then["weights"].get(name) != now["weights"].get(name):
            found.append(f"the weights of {name} have changed")
    for group, what in (("settings", "--"), ("versions", "the version of ")):
        for name in sorted({*then[group], *now[group]}):
            old, new = then[group].get(name), now[group].get(name)
            if old != new:
                found.append(f"{what}{name.replace('_', '-') if what == '--' else name} was {old} and is {new}")
    return found


def _content(fact: Any) -> Any:
    if isinstance(fact, Mapping):
        return {key: _content(value) for key, value in fact.items() if key != "modified"}
    return fact
