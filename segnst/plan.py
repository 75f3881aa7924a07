"""The plan: which region of the frame is painted in which style.

Grammar, the same on the command line, in a plan file and in Python::

    REGION[,REGION…]=STYLE[*W][+STYLE[*W]…][@STRENGTH]

split at the first ``=`` and the last ``@``. STYLE is a bundled name, the path of a checkpoint, or ``original``;
without ``REGION=`` it is the whole frame. ``background`` is everything that no other entry names, and stays
original where no entry names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segnst.errors import PlanError

BACKGROUND = "background"
ORIGINAL = "original"


@dataclass(frozen=True, slots=True)
class StyleTerm:
    """One style of a mix, by name or path, and its share of the mix."""

    style: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a plan: regions that share a layer, its mix of styles, its strength in [0,1]."""

    regions: tuple[str, ...]
    styles: tuple[StyleTerm, ...]
    strength: float = 1.0

    @property
    def name(self) -> str:
        """The layer's name: its regions, or ``frame``."""
        return ",".join(self.regions) or "frame"

    @property
    def original(self) -> bool:
        """Whether the pixels of this layer are left alone."""
        return all(term.style == ORIGINAL for term in self.styles)

    def __str__(self) -> str:
        mix = "+".join(t.style + (f"*{t.weight:g}" if len(self.styles) > 1 else "") for t in self.styles)
        regions = ",".join(self.regions)
        return f"{regions}{'=' if regions else ''}{mix}{f'@{self.strength:g}' if self.strength != 1 else ''}"


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


def parse_entry(text: str) -> Entry:
    """Read one entry. Raises PlanError saying what is wrong with it."""
    left, equals, right = text.partition("=")
    if not equals:
        left, right = "", text
    names = tuple(part.strip().lower() for part in left.split(",")) if equals else ()
    if not all(names):
        raise PlanError(f"In '{text}', a region's name is missing before '='. Example: car=starry_night")
    if len(set(names)) < len(names):
        raise PlanError(f"In '{text}', a region is named twice.")
    mix, at, tail = right.rpartition("@")
    # a path may hold an '@' of its own: then a strength behind it cannot hold a '/'
    if at and "/" not in tail:
        strength = _number(tail, "the strength after '@'", text)
    else:
        mix, strength = right, 1.0
    if not 0 <= strength <= 1:
        raise PlanError(f"In '{text}', the strength must lie between 0 (the source) and 1 (the full style).")
    terms = []
    for part in mix.split("+"):
        style, star, weight = part.strip().rpartition("*")
        style, share = (style, _number(weight, "the weight after '*'", text)) if star else (part.strip(), 1.0)
        if not style:
            raise PlanError(f"In '{text}', the style is missing. Example: car=starry_night")
        if not 0 < share < float("inf"):
            raise PlanError(f"In '{text}', the weight of '{style}' must be above 0.")
        terms.append(StyleTerm(style, share))
    total = sum(t.weight for t in terms)
    return Entry(names, tuple(StyleTerm(t.style, t.weight / total) for t in terms), strength)


def parse_plan(entries: Sequence[str]) -> Plan:
    """Read a plan from its entries; add an original background where none is named.

    Raises PlanError when there is no entry, or when two entries claim the same.
    """
    if not entries:
        raise PlanError("No style was given. Example: -s car=starry_night -s background=great_wave")
    parsed = [parse_entry(text) for text in entries]
    whole = [e for e in parsed if not e.regions]
    if len(whole) > 1:
        raise PlanError(f"Two entries style the whole frame: '{whole[0]}' and '{whole[1]}'. Name the regions.")
    if len(parsed) == 1 and whole:
        return Plan(tuple(parsed))
    # beside entries with regions, the whole frame means the rest of it
    rest = [Entry((BACKGROUND,), e.styles, e.strength) for e in whole] + [e for e in parsed if BACKGROUND in e.regions]
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
