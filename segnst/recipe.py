"""The recipe of an output: its plan, settings, versions and the hashes of its weights, which travel inside it.

``segnst style other.mp4 --plan out.mp4`` repeats it. A recipe that is read is data from a file like any other: it is
bounded, and each value is checked as one of a plan file is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from segnst.assembly import Parts, versions, weights_used
from segnst.config import Settings, checked_values, read_plan_file
from segnst.errors import PlanError
from segnst.files import PICTURE_SUFFIXES
from segnst.untrusted import first_line, is_folder, parse_json, printable, table
from segnst.video.inscription import KEY, read_text
from segnst.video.paths import VIDEO_FORMATS

FORMAT = 1
# What depends on the machine and not on what is made.
_NOT_KEPT = ("device", "offline", "recipe")
_MOST_WEIGHTS = 1000


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a file says about how it was made.

    settings  fields of ``Settings`` that differ from their defaults
    weights   {name of a style or segmenter: SHA-256 of its file};  versions  {package: version}
    """

    settings: dict[str, Any]
    weights: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def differences(self, used: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Warnings about weights that are not those of the recipe; ``used`` as ``weights_used`` returns it."""
        return [
            f"The recipe was made with other weights for '{name}' than those in {used[name]['path']}, so the result "
            "will differ."
            for name, expected in self.weights.items()
            if name in used and used[name]["sha256"] != expected
        ]


def recipe_of(settings: Settings, parts: Parts) -> str:
    """The recipe of a run as text."""
    changed = {
        f.name: getattr(settings, f.name)
        for f in fields(settings)
        if f.name not in _NOT_KEPT and getattr(settings, f.name) != f.default
    }
    hashes = {name: each["sha256"] for name, each in weights_used(parts).items()}
    return json.dumps(
        {KEY: FORMAT, "settings": changed, "weights": hashes, "versions": versions()}, separators=(",", ":")
    )


def read_recipe(path: Path) -> Recipe:
    """Read the recipe from a film, a picture, or a folder of pictures.

    Raises InputError where there is none, PlanError where it is not one that segnst writes.
    """
    text = read_text(path)
    try:
        facts = table(parse_json(text), "the recipe")
        if facts[KEY] != FORMAT:
            raise ValueError("a newer segnst wrote it")
        settings = table(facts.get("settings", {}), "settings")
        weights, used = table(facts.get("weights", {}), "weights"), table(facts.get("versions", {}), "versions")
        if len(weights) + len(used) > _MOST_WEIGHTS or not all(isinstance(v, str) for v in (*weights.values(),)):
            raise ValueError("its weights are no list of hashes")
    except ValueError as error:
        raise PlanError(f"The recipe in {path} cannot be read: {first_line(error)}.") from error
    values = checked_values(settings, f"The recipe in {path}")
    return Recipe(
        values,
        {printable(name): printable(each) for name, each in weights.items()},
        {printable(name): printable(str(each)) for name, each in used.items()},
    )


def read_plan(path: Path) -> Recipe:
    """Read settings from a plan file (TOML), or the recipe from what segnst made. Raises InputError, PlanError."""
    if is_folder(path) or path.suffix.lower() in {*VIDEO_FORMATS, *PICTURE_SUFFIXES}:
        return read_recipe(path)
    return Recipe(read_plan_file(path))
