"""What was chosen on the page, and the settings, the command line and the plan file that mean the same.

A recipe is a JSON object: ``source``, ``start`` and ``end`` in seconds or null, ``regions`` in order, ``look`` and
``output``. A region has a ``kind`` (class, object or background), a ``name``, whether it is ``visible``, a ``style``
(null leaves it as it is) and, for an object, ``marks`` in pixels of the upright input with their times.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from segnst.config import Settings
from segnst.errors import PlanError, UsageError
from segnst.plan import BACKGROUND, ORIGINAL
from segnst.setting import described
from segnst.untrusted import real, rows, short, table

MOST_REGIONS, MOST_MARKS, MOST_STYLES = 64, 256, 8
JOURNALED = ("mp4", "mov", "mkv", "webm")  # formats whose renders keep a journal
FORMATS = ("mp4", "webm", "mkv", "mov", "gif", "png", "jpg")
_FORBIDDEN = set(":@,=+*\n\r\t\"'\\/")
StyleName = Callable[[str], str]  # what the page calls a style -> what the plan calls it


@dataclass(frozen=True, slots=True)
class Chosen:
    """Settings as they are run, and as they are shown: with names of files instead of their paths on this machine."""

    settings: Settings
    shown: Settings
    format: str


def read_recipe(recipe: Any, *, path_of: StyleName, name_of: StyleName, still: bool = False, **fixed: Any) -> Chosen:
    """Read what the page sent.

    path_of, name_of  the style as it is run and as it is shown
    still             the source is one picture, so times mean nothing
    fixed             settings that the server decides, such as the device

    Raises UsageError, PlanError for what cannot be understood.
    """
    try:
        values = table(recipe, "the recipe")
        regions = rows(values.get("regions", []), "the regions", MOST_REGIONS)
        look = table(values.get("look", {}), "the look")
        output = table(values.get("output", {}), "the output")
        marks = _marks(regions, still)
        common: dict[str, Any] = {
            **marks,
            **_look(look, regions),
            "max_size": None if output.get("max_size") is None else int(real(output["max_size"], "the size")),
            "audio": output.get("audio", True) is not False,
        }
        if not still:
            for name in ("start", "end"):
                if values.get(name) is not None:
                    common[name] = round(real(values[name], name), 6)
        kind = str(output.get("format", "png" if still else "mp4"))
        if kind not in FORMATS:
            raise ValueError(f"there is no format {short(kind)}")
        run = Settings(styles=_plan(regions, path_of), **common, **fixed)
        shown = Settings(styles=_plan(regions, name_of), **common)
    except ValueError as error:
        raise UsageError(f"The page sent something that cannot be understood: {error}.") from error
    return Chosen(run, shown, kind)


def _plan(regions: list[dict[str, Any]], name_of: StyleName) -> tuple[str, ...]:
    """The entries of the plan. A frame that is one region gets an entry without a region, which needs no segmenter."""
    if not regions or all(r.get("kind") == "background" for r in regions):
        return (_entry(regions[0], name_of) if regions else ORIGINAL,)
    return tuple(f"{_name(r)}={_entry(r, name_of)}" for r in regions)


def _name(region: Mapping[str, Any]) -> str:
    if region.get("kind") == "background":
        return BACKGROUND
    name = str(region.get("name", "")).strip().lower()
    if not name or len(name) > 60 or set(name) & _FORBIDDEN:
        raise PlanError(f"'{short(name)}' cannot be the name of a region; use letters, digits and blanks.")
    if region.get("kind") == "object" and name in (BACKGROUND, "foreground"):
        raise PlanError(f"An object cannot be called '{name}'; give it another name.")
    return name


def _entry(region: Mapping[str, Any], name_of: StyleName) -> str:
    if region.get("style") is None or region.get("visible", True) is False:
        return ORIGINAL
    style = table(region["style"], "a style")
    mix = rows(style.get("mix", []), "a mix", MOST_STYLES)
    terms = [(name_of(str(term.get("name", ""))), real(term.get("weight", 1), "a weight")) for term in mix]
    terms = [(name, weight) for name, weight in terms if weight > 0]
    if not terms:
        return ORIGINAL
    strength = real(style.get("strength", 1), "the strength")
    if not 0 <= strength <= 1:
        raise ValueError("the strength must lie between 0 and 1")
    written = "+".join(name + (f"*{weight:g}" if len(terms) > 1 else "") for name, weight in terms)
    return written + (f"@{strength:g}" if strength < 1 else "")


def _look(look: Mapping[str, Any], regions: list[dict[str, Any]]) -> dict[str, Any]:
    keeping = [_name(r) for r in regions if r.get("keep_colors") is True and r.get("style") is not None]
    alone = all(r.get("kind") == "background" for r in regions)
    everywhere = look.get("keep_colors") is True or (alone and bool(keeping))
    return {
        "keep_colors": everywhere,
        "keep_colors_of": "" if everywhere else ",".join(keeping),
        "stroke_size": round(real(look.get("stroke_size", 1), "the size of strokes"), 3),
        "stability": round(real(look.get("stability", 0.9), "the stability"), 3),
        "edge": str(look.get("edge", "guided")),
        "fast": look.get("fast") is True,
    }


def _marks(regions: list[dict[str, Any]], still: bool) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {"box": [], "point": [], "not_point": []}
    for region in regions:
        if region.get("kind") != "object":
            continue
        name, points = _name(region), rows(region.get("marks", []), "the marks", MOST_MARKS)
        if not points:
            raise PlanError(f"'{name}' is marked nowhere; click it or draw a box around it.")
        for mark in points:
            at = "" if still else f"@{_number(mark.get('t', 0), 6)}"
            if mark.get("kind") == "box":
                numbers = ",".join(_number(mark.get(k), 1) for k in "xywh")
                found["box"].append(f"{name}:{numbers}{at}")
            else:
                numbers = ",".join(_number(mark.get(k), 1) for k in "xy")
                found["point" if mark.get("belongs", True) else "not_point"].append(f"{name}:{numbers}{at}")
    return {key: tuple(texts) for key, texts in found.items()}


def _number(value: Any, digits: int) -> str:
    text = f"{real(value, 'a coordinate'):.{digits}f}"
    return text.rstrip("0").rstrip(".") or "0"


def preview_settings(settings: Settings, view: str) -> Settings:
    """The settings that a preview of one frame depends on, so that all others find it in the cache."""
    objects = bool(settings.box or settings.point)
    return Settings(
        styles=settings.styles, box=settings.box, point=settings.point, not_point=settings.not_point,
        keep_colors=settings.keep_colors, keep_colors_of=settings.keep_colors_of, edge=settings.edge,
        stroke_size=settings.stroke_size, fast=settings.fast, device=settings.device, offline=settings.offline,
        stability=settings.stability if view == "flicker" else 0.9,
        start=settings.start if objects else None,  # objects are followed from there on
        end=settings.end if objects else None,
    )  # fmt: skip


def check_range(settings: Settings) -> None:
    """Raise PlanError for an object that is marked outside of the part of the clip that is used."""
    for text in (*settings.box, *settings.point, *settings.not_point):
        name, at = text.partition(":")[0], text.rpartition("@")[2]
        if "@" not in text:
            continue
        if float(at) < (settings.start or 0) - 1e-3 or (settings.end is not None and float(at) >= settings.end):
            raise PlanError(
                f"'{name}' is marked at {float(at):.2f} s, outside of the part that you chose. "
                "Mark it again inside, or move the in and out points."
            )


def _changed(settings: Settings) -> dict[str, Any]:
    """The settings that differ from their defaults, by field, in order."""
    return {f.name: v for f in fields(Settings) if (v := getattr(settings, f.name)) != f.default}


def command_line(settings: Settings, source: str, output: str, *, resume: bool = False) -> str:
    """The command that does the same, with every word quoted where a shell needs it.

    resume  it keeps a journal, as renders of the studio do
    """
    words = ["segnst", "style", source]
    options = {d.name: d for d in described(Settings)}
    for name, value in _changed(settings).items():
        option = options[name]
        if value is True or value is False:
            words.append(next(o for text in option.options for o in text.split("/") if ("--no-" in o) is not value))
        elif isinstance(value, tuple):
            words += [word for each in value for word in (option.options[0], str(each))]
        else:
            words += [option.options[0], f"{value:g}" if isinstance(value, float) and name != "start" else str(value)]
    return shlex.join([*words, *(["--resume"] if resume else []), "-o", output])


def plan_file(settings: Settings) -> str:
    """The settings as a plan file for ``segnst style --plan``."""
    lines = ["# Saved by segnst studio. Use it with: segnst style INPUT --plan THIS_FILE"]
    for name, value in _changed(settings).items():
        if isinstance(value, bool):
            lines.append(f"{name} = {str(value).lower()}")
        elif isinstance(value, tuple):
            lines.append(f"{name} = [{', '.join(map(_quoted, value))}]")
        else:
            lines.append(f"{name} = {value}" if isinstance(value, int | float) else f"{name} = {_quoted(value)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
