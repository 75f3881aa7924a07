"""From settings (a plan file, or those of a file that was rendered) back to a recipe for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from segnst.config import Settings
from segnst.errors import PlanError
from segnst.plan import BACKGROUND, Entry, parse_entry

KNOWN = frozenset((
    "styles", "box", "point", "not_point", "keep_colors", "keep_colors_of", "stroke_size", "stability", "stabilize",
    "edge", "fast", "start", "end", "max_size", "audio", "segmenter", "device", "offline",
))  # fmt: skip


def recipe_of(settings: Settings, page_name: Callable[[str], str]) -> tuple[dict[str, Any], list[str]]:
    """(the recipe, what the page cannot show).

    page_name  what the plan calls a style -> what the page calls it; raises PlanError for one that it does not have
    """
    notes = [
        f"The setting '{name}' cannot be shown here and is left out."
        for name in Settings.__dataclass_fields__
        if name not in KNOWN and getattr(settings, name) != Settings.__dataclass_fields__[name].default
    ]
    if settings.segmenter != "deeplab":
        notes.append(f"The plan uses the segmenter '{settings.segmenter}'; here, the bundled one is used.")
    marks: dict[str, list[dict[str, Any]]] = {}
    for text in settings.box:
        name, (x, y, w, h), at = _mark(text)
        marks.setdefault(name, []).append({"kind": "box", "x": x, "y": y, "w": w, "h": h, "t": at})
    for texts, belongs in ((settings.point, True), (settings.not_point, False)):
        for text in texts:
            name, (x, y), at = _mark(text)
            marks.setdefault(name, []).append({"kind": "point", "x": x, "y": y, "belongs": belongs, "t": at})
    keeping = {name.strip().lower() for name in settings.keep_colors_of.split(",") if name.strip()}
    regions: list[dict[str, Any]] = []
    for text in settings.styles:
        entry = parse_entry(text)
        if entry.fade:
            notes.append(f"'{text}' fades from one style to another, which cannot be shown here.")
        for name in entry.regions or (BACKGROUND,):
            kind = "background" if name == BACKGROUND else "object" if name in marks else "class"
            region = {"kind": kind, "name": name, "visible": True, "locked": False, "style": _style(entry, page_name)}
            region["keep_colors"] = name in keeping
            if kind == "object":
                region["marks"] = marks[name]
            regions.append(region)
    regions.sort(key=lambda r: r["kind"] == "background")
    if not any(r["kind"] == "background" for r in regions):
        regions.append(
            {"kind": "background", "name": BACKGROUND, "visible": True, "locked": False, "style": None,
             "keep_colors": False}
        )  # fmt: skip
    look = {
        "keep_colors": settings.keep_colors,
        "stroke_size": settings.stroke_size,
        "stability": settings.stability if settings.stabilize else 0.0,
        "edge": settings.edge,
        "fast": settings.fast,
    }
    output = {"max_size": settings.max_size, "audio": settings.audio}
    recipe = {"start": settings.start, "end": settings.end, "regions": regions, "look": look, "output": output}
    return recipe, notes


def _style(entry: Entry, page_name: Callable[[str], str]) -> Mapping[str, Any] | None:
    if entry.original:
        return None
    mix = [{"name": page_name(term.style), "weight": round(term.weight, 4)} for term in entry.styles]
    return {"mix": mix, "strength": entry.strength}


def _mark(text: str) -> tuple[str, tuple[float, ...], float]:
    body, _, at = text.partition("@")
    name, colon, numbers = body.rpartition(":")
    if at.endswith("f"):
        raise PlanError(f"'{text}' counts frames; write the time in seconds to use the plan here.")
    try:
        return (
            (name if colon else "object").strip().lower(),
            tuple(float(v) for v in numbers.split(",")),
            float(at.removesuffix("s") or 0),
        )
    except ValueError:
        raise PlanError(f"'{text}' is no mark that can be read.") from None
