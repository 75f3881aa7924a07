"""A recipe: a TOML file that names the data, the teachers and the settings of one segmenter training.

start = "../shared/networks/deeplabv3_mobilenet_v2_voc.safetensors"     # paths are relative to the recipe
classes = ["other", "cat"]                                             # default: the nine street classes

[aliases]                                                              # optional: a name for several classes
pet = ["cat"]                                                          # ["*"]: all but the first

[teacher]                                                              # optional
network = "…safetensors"
cityscapes = "…tflite"                                                 # optional, needs ai-edge-litert

[settings]                                                             # fields of SegmenterSettings
iterations = 2000

[[data]]
path = "…"                                                             # also: weight, name, use, optional, teach,
weight = 30                                                            # labels (folder), values (of each class)

[card]                                                                 # lines of the model card
terms = "…"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from segnst.errors import InputError, UsageError, did_you_mean
from segnst.files import PICTURE_SUFFIXES
from segnst.masks.classes import STREET, regions_from_names
from segnst.train.run import Report
from segnst.train.segmenter import train_segmenter
from segnst.train.segmenter_folders import DataFolder, with_names
from segnst.train.segmenter_teachers import Teachers
from segnst.train.settings import SegmenterSettings
from segnst.untrusted import first_line, read_toml


def train_from_recipe(
    recipe: Path,
    out: Path,
    *,
    iterations: int | None = None,
    device: str = "auto",
    restart: bool = False,
    stop_at: int | None = None,
    report: Report | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Run the teachers (once; their predictions are kept in ``out/soft``), then train. Returns the best checkpoint.

    ``iterations`` overrides the recipe's. Raises UsageError for a recipe that cannot be read or names something that
    does not exist, and whatever :func:`train_segmenter` raises.
    """
    plan = _read(recipe)
    base = recipe.parent
    settings = _settings(plan.get("settings", {}), recipe)
    if iterations is not None:
        settings = replace(settings, iterations=iterations)
    named = [_folder(entry, base, recipe) for entry in plan.get("data", [])]
    folders = [folder for folder, optional in named if folder.path.is_dir() or not optional]
    classes = plan.get("classes")
    teacher = plan.get("teacher")
    if teacher is not None:
        cityscapes = base / teacher["cityscapes"] if "cityscapes" in teacher else None
        folders = ask_teacher(folders, base / teacher["network"], out / "soft", classes=classes, cityscapes=cityscapes)
    return train_segmenter(
        folders,
        out,
        classes=classes,
        aliases=plan.get("aliases"),
        start=base / plan["start"] if "start" in plan else None,
        settings=settings,
        device=device,
        restart=restart,
        stop_at=stop_at,
        card={str(k): str(v) for k, v in plan.get("card", {}).items()},
        report=report,
        stop=stop,
    )


def ask_teacher(
    folders: Sequence[DataFolder],
    teacher: Path,
    soft: Path,
    *,
    classes: Sequence[str] | None = None,
    cityscapes: Path | None = None,
) -> list[DataFolder]:
    """Store a teacher's predictions for the folders' photos under ``soft/<name>``; return folders that use them."""
    regions = STREET if classes is None else regions_from_names(classes)
    teachers = Teachers(teacher, regions, cityscapes)
    told = []
    for folder in with_names(folders):
        images = folder.path / "images" if (folder.path / "images").is_dir() else folder.path
        if images.is_dir() and folder.use != "measure" and folder.teach:
            photos = sorted(p for p in images.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
            teachers.write(photos, soft / folder.name)
            folder = replace(folder, soft=soft / folder.name)
        told.append(folder)
    return told


def _read(recipe: Path) -> dict[str, Any]:
    try:
        return read_toml(recipe, "recipe")
    except (InputError, ValueError) as error:
        raise UsageError(f"The recipe {recipe} cannot be read: {first_line(error)}.") from error


def _settings(values: dict[str, Any], recipe: Path) -> SegmenterSettings:
    known = [f.name for f in fields(SegmenterSettings)]
    for name in values:
        if name not in known:
            raise UsageError(f"{recipe} sets '{name}', which is not a setting.{did_you_mean(name, known)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return SegmenterSettings(**values)


def _folder(entry: dict[str, Any], base: Path, recipe: Path) -> tuple[DataFolder, bool]:
    if "path" not in entry:
        raise UsageError(f"A [[data]] entry of {recipe} has no path.")
    use = entry.get("use", "split")
    if use not in ("split", "train", "measure"):
        raise UsageError(f"{recipe}: use must be split, train or measure, not '{use}'.")
    path = base / entry["path"]
    name = str(entry.get("name") or path.name)
    folder = DataFolder(
        path,
        float(entry.get("weight", 1)),
        name,
        use=use,
        teach=bool(entry.get("teach", True)),
        labels=str(entry.get("labels", "labels")),
        values=tuple(int(v) for v in entry.get("values", ())),
    )
    return folder, bool(entry.get("optional", False))
