"""The plan: which region of the frame is painted in which style.

Grammar, the same on the command line, in a plan file and in Python::

    REGION[,REGION…]=STYLE[*W][+STYLE[*W]…][@STRENGTH]
    REGION[,REGION…]=SECONDS:STYLE…,SECONDS:STYLE…[@STRENGTH]

split at the first ``=`` and the last ``@``. STYLE is a bundled name, the path of a picture or of a checkpoint, one
style of a collection (``PATH:NAME``), or ``original``; without ``REGION=`` it is the whole frame. ``background`` is
everything that no other entry names, and stays original if no entry names it. The second form fades from one mix to the
next between the given times, in seconds from the first frame of the run.

The names of files may contain any of ``= @ + * , :``. Where a stretch of an entry is the name of a file that exists, it
is read as that name, and the longest such stretch counts: with a file ``red+blue.jpg`` in the folder,
``red+blue.jpg`` is that picture and no mix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from segnst.errors import PlanError
from segnst.files import READ_SUFFIXES
from segnst.untrusted import is_file

BACKGROUND = "background"
ORIGINAL = "original"
KEY = re.compile(r"\s*\d+(\.\d+)?\s*:")  # the beginning of a fade: its first second
MARKS = re.compile(r"[=@+*,:]")  # what separates the parts of an entry
MOST_PIECES = 16  # into which the name of a file may fall at these marks


def short_name(style: str) -> str:
    """What files and reports call a style: a bundled name, NAME of ``PATH:NAME``, or the stem of a file's name."""
    file, colon, name = style.rpartition(":")
    if colon and Path(file).suffix:
        return Path(name).stem if Path(name).suffix.lower() in READ_SUFFIXES else name
    path = Path(style)
    return path.stem if path.suffix or len(path.parts) > 1 else style


@dataclass(frozen=True, slots=True)
class StyleTerm:
    """One style of a mix, by name or path, and its share of the mix."""

    style: str
    weight: float = 1.0


Mix = tuple[StyleTerm, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a plan: regions that share a layer, its mix of styles, its strength in [0,1].

    fade  (seconds, mix) in order of time, for a mix that changes; ``styles`` then holds every style that occurs
    """

    regions: tuple[str, ...]
    styles: Mix
    strength: float = 1.0
    fade: tuple[tuple[float, Mix], ...] = ()

    def at(self, seconds: float) -> Mix:
        """The mix of styles at a time. Before a fade begins it is the first mix, after it ends the last."""
        if not self.fade:
            return self.styles
        if seconds <= self.fade[0][0]:
            return self.fade[0][1]
        for (begin, old), (end, new) in pairwise(self.fade):
            if seconds < end:
                share = (seconds - begin) / (end - begin)
                mixed = [replace(t, weight=t.weight * (1 - share)) for t in old]
                return _joined([*mixed, *(replace(t, weight=t.weight * share) for t in new)])
        return self.fade[-1][1]

    @property
    def name(self) -> str:
        """The layer's name: its regions, or ``frame``."""
        return ",".join(self.regions) or "frame"

    @property
    def original(self) -> bool:
        """Whether the pixels of this layer are left alone."""
        return all(term.style == ORIGINAL for term in self.styles)

    def __str__(self) -> str:
        mix = ",".join(f"{seconds:g}:{_written(mix)}" for seconds, mix in self.fade) or _written(self.styles)
        regions = ",".join(self.regions)
        return f"{regions}{'=' if regions else ''}{mix}{f'@{self.strength:g}' if self.strength != 1 else ''}"


def _written(mix: Mix) -> str:
    return "+".join(t.style + (f"*{t.weight:g}" if len(mix) > 1 else "") for t in mix)


def _joined(terms: Sequence[StyleTerm]) -> Mix:
    """The same style named twice becomes one term; the weights sum to 1."""
    total = sum(t.weight for t in terms)
    weights: dict[str, float] = {}
    for term in terms:
        weights[term.style] = weights.get(term.style, 0.0) + term.weight / total
    return tuple(StyleTerm(style, weight) for style, weight in weights.items() if weight > 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """The layers of a frame, in order; the last one is the background unless the plan is one whole-frame entry."""

    entries: tuple[Entry, ...]

    @property
    def whole_frame(self) -> bool:
        """Whether no segmenter is needed."""
        return len(self.entries) == 1 and not self.entries[0].regions

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    @property
    def styles(self) -> tuple[str, ...]:
        """All styles but ``original``, each once, in order of appearance."""
        return tuple(dict.fromkeys(t.style for e in self.entries for t in e.styles if t.style != ORIGINAL))

    @property
    def regions(self) -> tuple[str, ...]:
        """All named regions but the background."""
        return tuple(r for e in self.entries for r in e.regions if r != BACKGROUND)


def _number(text: str, what: str, entry: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise PlanError(f"In '{entry}', {what} must be a number, got '{text}'.") from None


def names_file(style: str) -> bool:
    """Whether a style's text names a file that exists: ``PATH``, or ``PATH:NAME``."""
    file, _, name = style.rpartition(":")
    return _exists(style) or (_exists(file) and (_exists(name) or not MARKS.search(name)))


def _exists(text: str) -> bool:
    try:
        return bool(text) and is_file(Path(text).expanduser())
    except RuntimeError:  # ~NOBODY
        return False


def _term(part: str) -> tuple[str, str | None]:
    """A style and its weight as text, from ``STYLE*W`` or ``STYLE``."""
    part = part.strip()
    style, star, weight = part.rpartition("*")
    return (part, None) if not star or names_file(part) else (style, weight)


def _is_file_term(part: str) -> bool:
    style, weight = _term(part)
    return names_file(style) and not MARKS.search(weight or "")


def _joined_files(pieces: Sequence[str], mark: str, names: Callable[[str], bool]) -> list[str]:
    """Join neighboring pieces of a text that was split at ``mark``, where they belong to the name of a file."""
    found, at = [], 0
    while at < len(pieces):
        longest = min(len(pieces), at + MOST_PIECES)
        end = next((e for e in range(longest, at + 1, -1) if names(mark.join(pieces[at:e]))), at + 1)
        found.append(mark.join(pieces[at:end]))
        at = end
    return found


def _terms(mix: str) -> list[str]:
    """The terms of a mix, separated by ``+``."""
    return _joined_files(mix.split("+"), "+", _is_file_term)


def _keys(fade: str) -> list[str]:
    """The keys of a fade, separated by commas."""

    def one_key(text: str) -> bool:
        styles = [_term(term)[0] for term in _terms(text.partition(":")[2])] if KEY.match(text) else []
        return bool(styles) and all(names_file(style) for style in styles if "," in style)

    return _joined_files(fade.split(","), ",", one_key)


def _strength(right: str, text: str) -> tuple[str, float]:
    """Separate ``@STRENGTH`` from a mix or fade."""
    mix, at, tail = right.rpartition("@")
    # A path may contain '@': what follows the last one is no strength if it contains '/' or belongs to a file's name.
    if not at or "/" in tail:
        return right, 1.0
    mixes = [key.partition(":")[2] for key in _keys(right)] if KEY.match(right) else [right]
    holder = [term for each in mixes for term in _terms(each) if "@" in term][-1]
    if _is_file_term(holder):
        return right, 1.0
    return mix, _number(tail, "the strength after '@'", text)


def _is_whole_frame(text: str) -> bool:
    """Whether an entry that contains ``=`` has no region, because the sign is part of the first file's name."""
    for mix in (text, text.rpartition("@")[0]):
        style = _term(_terms(mix)[0])[0]
        if "=" in style and names_file(style):
            return True
    return False


def parse_entry(text: str) -> Entry:
    """Read one entry. Raises PlanError saying what is wrong with it."""
    left, equals, right = text.partition("=")
    if not equals or _is_whole_frame(text):
        left, equals, right = "", "", text
    names = tuple(part.strip().lower() for part in left.split(",")) if equals else ()
    if not all(names):
        raise PlanError(f"In '{text}', a region's name is missing before '='. Example: car=starry_night")
    if len(set(names)) < len(names):
        raise PlanError(f"In '{text}', a region is named twice.")
    mix, strength = _strength(right, text)
    if not 0 <= strength <= 1:
        raise PlanError(f"In '{text}', the strength must lie between 0 (the source) and 1 (the full style).")
    if KEY.match(mix) and not names_file(mix.strip()):
        fade = _fade(mix, text)
        every = _joined([term for _, terms in fade for term in terms])
        return Entry(names, every, strength, fade)
    return Entry(names, _mix(mix, text), strength)


def _fade(text: str, entry: str) -> tuple[tuple[float, Mix], ...]:
    keys = []
    for part in _keys(text):
        if not KEY.match(part):
            raise PlanError(f"In '{entry}', '{part}' should be SECONDS:STYLE. Example: 0:starry_night,3:the_scream")
        seconds, _, mix = part.partition(":")
        keys.append((float(seconds), _mix(mix, entry)))
    if any(b <= a for (a, _), (b, _) in pairwise(keys)):
        raise PlanError(f"In '{entry}', the seconds of a fade must increase.")
    return tuple(keys)


def _mix(mix: str, text: str) -> Mix:
    terms = []
    for part in _terms(mix):
        style, weight = _term(part)
        share = _number(weight, "the weight after '*'", text) if weight is not None else 1.0
        if not style:
            raise PlanError(f"In '{text}', the style is missing. Example: car=starry_night")
        if not 0 < share < float("inf"):
            raise PlanError(f"In '{text}', the weight of '{style}' must be above 0.")
        terms.append(StyleTerm(style, share))
    return _joined(terms)


def parse_plan(entries: Sequence[str]) -> Plan:
    """Read a plan from its entries; add an original background where none is named.

    Raises PlanError when there is no entry, or when two entries claim the same region.
    """
    if not entries:
        raise PlanError("No style was given. Example: -s car=starry_night -s background=great_wave")
    parsed = [parse_entry(text) for text in entries]
    whole = [e for e in parsed if not e.regions]
    if len(whole) > 1:
        raise PlanError(f"Two entries style the whole frame: '{whole[0]}' and '{whole[1]}'. Name the regions.")
    if len(parsed) == 1 and whole:
        return Plan(tuple(parsed))
    # next to entries with regions, an entry without a region means the background
    rest = [replace(e, regions=(BACKGROUND,)) for e in whole] + [e for e in parsed if BACKGROUND in e.regions]
    named = [e for e in parsed if e.regions and BACKGROUND not in e.regions]
    if len(rest) > 1:
        raise PlanError(f"The background is given twice: '{rest[0]}' and '{rest[1]}'.")
    seen: dict[str, Entry] = {}
    for entry in (*named, *rest):
        for region in entry.regions:
            if region in seen:
                raise PlanError(f"'{region}' is given twice: '{seen[region]}' and '{entry}'.")
            seen[region] = entry
    return Plan((*named, *(rest or [Entry((BACKGROUND,), (StyleTerm(ORIGINAL),))])))
