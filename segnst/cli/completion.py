"""Words that a shell offers when the user presses the tab key. Nothing here imports torch, so that they come at once.

Typer calls a completer with the word that has been typed so far; it returns the words that complete it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from segnst import registry
from segnst.files import READ_SUFFIXES
from segnst.masks.classes import STREET
from segnst.weights import bundled_dir, home_dir

_LONGEST_HEADER = 1 << 24  # bytes; no file of segnst has a longer one
Completer = Callable[[str], list[str]]


def completer(what: str | tuple[str, ...] | None) -> Completer | None:
    """Return the completer for some words, or for a key of ``_KINDS``; None if there is nothing to complete."""
    if not what:
        return None
    if isinstance(what, str):
        return _KINDS[what]
    words = what
    return lambda incomplete: _fitting(words, incomplete)


def _fitting(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _words(*words: str) -> Completer:
    return lambda incomplete: _fitting(words, incomplete)


def _header(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file without torch; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length < _LONGEST_HEADER else {}
        return dict(header.get("__metadata__") or {})
    except (OSError, ValueError, struct.error):
        return {}


def _styles() -> Iterator[str]:
    """Yield the names of the styles in ``models/`` and ``$SEGNST_HOME``."""
    for path in (p for folder in (bundled_dir(), home_dir()) for p in sorted(folder.glob("*.safetensors"))):
        facts = _header(path)
        if facts.get("format") == "segnst-johnson":
            yield path.stem
        try:
            yield from (str(member["name"]) for member in json.loads(facts.get("styles", "[]")))
        except (ValueError, TypeError, KeyError):
            continue


def style_names(incomplete: str) -> list[str]:
    """Complete the name of a style."""
    return _fitting(dict.fromkeys(_styles()), incomplete)


def plan_entries(incomplete: str) -> list[str]:
    """Complete an entry of a plan: first a region with ``=``, or a style; after the ``=`` a style or a picture."""
    region, equals, style = incomplete.partition("=")
    styles = [*dict.fromkeys(_styles()), "original"]
    if equals:
        styles += _pictures(style)
        return _fitting([f"{region}={style}" for style in styles], incomplete)
    return _fitting([*(f"{name}=" for r in STREET for name in (r.name, *r.aliases)), *styles], incomplete)


def _pictures(incomplete: str) -> list[str]:
    """The pictures, and the folders with a slash at the end, whose path begins as typed; hidden ones are left out."""
    folder, slash, _ = incomplete.rpartition("/")
    try:
        there = sorted(Path(f"{folder}{slash}" or ".").iterdir())
    except OSError:
        return []
    names = [
        f"{path.name}/" if path.is_dir() else path.name
        for path in there
        if path.name[0] != "." and (path.is_dir() or path.suffix.lower() in READ_SUFFIXES)
    ]
    return [f"{folder}{slash}{name}" for name in names]


def model_names(incomplete: str) -> list[str]:
    """Complete the name of weights that can be fetched."""
    from segnst.catalog import REMOTE

    return _fitting(["all", *(weights.name for weights in REMOTE)], incomplete)


_KINDS: dict[str, Completer] = {
    "plan": plan_entries,
    "style": style_names,
    "segmenter": _words(*registry.SEGMENTERS),
    "flow": _words(*registry.FLOWS),
    "selector": _words(*registry.SELECTORS),
    "detector": _words(*registry.DETECTORS),
    "format": _words("indexed", "soft16", "coco", "overlay", "alpha", "alpha-mkv", "alpha-webm"),
    "method": _words(*registry.STABILITY_METHODS),
    "encoder": _words("vgg19", "vgg16", "small"),
    "codec": _words("h264", "hevc", "vp8", "vp9", "av1", "ffv1", "prores", "mpeg4"),
    "preset": _words(
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
    ),
    "device": _words("auto", "cpu", "cuda", "mps"),
    "edge": _words("guided", "matte", "feather:", "hard", "threshold:", "exact"),
}
