"""Masks from annotation files, as a segmenter: COCO, labelme, CVAT, YOLO's polygons, lists of SAM."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segnst.errors import InputError
from segnst.masks import coco, foreign
from segnst.masks.classes import regions_from_names
from segnst.masks.label_map import PARTIAL
from segnst.segmentation.alignment import Run
from segnst.segmentation.files import FileSegmenter, of_run
from segnst.types import Region
from segnst.untrusted import MAX_JSON_BYTES, exists, first_line, is_folder, parse_json, printable, read_bytes, safe_name

ANNOTATIONS = (".json", ".xml", ".txt")
LABELS = "labelmap.txt"  # of CVAT's masks: a line is NAME:R,G,B:parts:actions
COLORED = "SegmentationClass"  # the folder of these masks
LISTS = ("classes.txt", "obj.names", "data.yaml", "data.yml", "dataset.yaml")  # where YOLO's classes are named
MAX_LIST_BYTES = 1 << 20
MAX_FOLDER_BYTES = 1 << 30  # of all annotation files in a folder


def annotated_file(path: Path, names: Sequence[str] | None, run: Run) -> FileSegmenter:
    """Open one annotation file. Raises InputError.

    names  of the classes of YOLO, whose files hold numbers only
    """
    if path.suffix.lower() == ".xml":
        return _segmenter(foreign.cvat(path), path, run)
    if path.suffix.lower() == ".txt":
        return _yolo(path, [path], names, run)
    return _segmenter(_json([path]), path, run)


def annotated_folder(path: Path, names: Sequence[str] | None, run: Run) -> FileSegmenter | None:
    """Open a folder of annotation files, or return None where there are none but pictures. Raises InputError."""
    if exists(path / LABELS) and is_folder(path / COLORED):
        return _colored(path, run)
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in ANNOTATIONS and p.is_file())
    if any(path.glob("*.png")):  # label maps, beside which there may be lists of classes
        return None
    if [p.name.lower() for p in files] in (["annotations.xml"], ["instances_default.json"]):
        return annotated_file(files[0], names, run)
    shapes = [p for p in files if p.suffix.lower() == ".json"]
    if shapes:
        return _segmenter(_json(shapes), path, run)
    folder = path / "labels" if is_folder(path / "labels") else path
    texts = sorted(p for p in folder.glob("*.txt") if p.name.lower() not in LISTS)
    return _yolo(path, texts, names, run) if texts else None


def _json(files: Sequence[Path]) -> coco.Content:
    """JSON of COCO, labelme or SAM; the first file says which."""
    parsed: list[tuple[Path, Any]] = []
    total = 0
    for path in files:
        data = read_bytes(path, MAX_JSON_BYTES, "annotation file")
        total += len(data)
        if total > MAX_FOLDER_BYTES:
            raise InputError(f"{path.parent} has more than {MAX_FOLDER_BYTES} bytes of annotations.")
        try:
            parsed.append((path, parse_json(data)))
        except ValueError as error:
            raise InputError(f"{path} is not an annotation file: {first_line(error)}.") from error
    first = parsed[0][1]
    facts = first if isinstance(first, dict) else {}
    if isinstance(first, list) or ("annotations" in facts and "image" in facts and "categories" not in facts):
        return foreign.sam(parsed)
    if "shapes" in facts:
        return foreign.labelme(parsed)
    if len(parsed) > 1:
        raise InputError(f"{files[0].parent} holds several JSON files that are not labelme's; name the one to use.")
    return coco.parse(first, files[0])


def _segmenter(content: coco.Content, path: Path, run: Run) -> FileSegmenter:
    """The categories are the regions, the images the frames: by the frames' names, or in the order of their ids."""
    if not content.images:
        raise InputError(f"{path} names no image.")
    categories = {number: name.strip().lower() for number, name in content.categories.items()}
    if len(set(categories.values())) > PARTIAL:  # what nothing is annotated with needs no value
        used = {coco.category_of(a) for each in content.annotations.values() for a in each}
        categories = {number: name for number, name in categories.items() if number in used}
    names = list(dict.fromkeys(n for n in categories.values() if n != "background"))
    if len(names) >= PARTIAL:
        raise InputError(f"{path} has masks of {len(names)} categories; {PARTIAL - 1} are the most.")
    regions = (Region(0, "background", ("other",)), *(Region(k + 1, n) for k, n in enumerate(names)))
    index = {number: names.index(n) + 1 for number, n in categories.items() if n in names}
    numbers = sorted(content.images)
    files = [Path(f"{Path(safe_name(str(content.images[i].get('file_name')))).stem}.png") for i in numbers]
    loads = [
        partial(coco.paint, content.annotations.get(i, []), index, coco.size_of(content.images[i], path), path)
        for i in numbers
    ]
    return FileSegmenter(path, regions, of_run(files, loads, run, path), run.first)


def _yolo(path: Path, files: Sequence[Path], names: Sequence[str] | None, run: Run) -> FileSegmenter:
    if run.size is None:
        raise InputError(f"{path} gives positions as shares of the frame; use it by --masks, beside the input.")
    classes = list(names) if names is not None else _yolo_classes(path if is_folder(path) else path.parent)
    if not classes:
        classes = [f"class{k}" for k in range(PARTIAL - 1)]
    content = foreign.yolo(files, classes, run.size)
    return _segmenter(content, path, run)


def _yolo_classes(folder: Path) -> list[str]:
    """Names of the classes beside the files or one folder above: lines of a text, or the ``names`` of a YAML."""
    for place in (folder, folder.parent):
        for name in LISTS:
            if not exists(place / name):
                continue
            text = read_bytes(place / name, MAX_LIST_BYTES, "list of classes").decode("utf-8", "replace")
            if name.endswith((".yaml", ".yml")):
                found = _yaml_names(text)
            else:
                found = [printable(line).strip() for line in text.splitlines() if line.strip()]
            if found:
                return found
    return []


def _yaml_names(text: str) -> list[str]:
    """The ``names`` of a data set's YAML: ``[a, b]``, a list of ``- a`` or a table of ``0: a``, as YOLO writes them."""
    match = re.search(r"^names:[ \t]*(.*(?:\n(?:[ \t]+.*|- .*|[ \t]*))*)", text, re.MULTILINE)
    if match is None:
        return []
    body = match[1].strip()
    if body.startswith("["):
        parts = body[1 : body.find("]") if "]" in body else len(body)].split(",")
    else:
        parts = [re.sub(r"^\s*(?:-|[0-9]+\s*:)\s*", "", line) for line in body.splitlines()]
    return [word for part in parts if (word := printable(part).split("#")[0].strip().strip("'\""))]


def _colored(path: Path, run: Run) -> FileSegmenter:
    """CVAT's masks: pictures whose colors are the classes that ``labelmap.txt`` lists."""
    from segnst.video.images import frame_files

    text = read_bytes(path / LABELS, MAX_LIST_BYTES, "list of classes").decode("utf-8", "replace")
    colors: dict[tuple[int, ...], str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"\s*([^:]+):\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*(?::.*)?", line)
        if match is None:
            raise InputError(f"{path / LABELS} should have lines of NAME:R,G,B::, not '{printable(line)[:80]}'.")
        colors[tuple(int(v) for v in match.groups()[1:])] = printable(match[1]).strip().lower()
    names = list(dict.fromkeys(n for n in colors.values() if n != "background"))
    if not names or len(names) >= PARTIAL:
        raise InputError(f"{path / LABELS} names {len(names)} classes; 1 to {PARTIAL - 1} are possible.")
    regions = regions_from_names(["background", *names])
    values = {color: 0 if n == "background" else names.index(n) + 1 for color, n in colors.items()}
    files = frame_files(path / COLORED)
    loads = [partial(_by_color, file, values, path / LABELS) for file in files]
    return FileSegmenter(path, regions, of_run(files, loads, run, path), run.first)


def _by_color(file: Path, values: dict[tuple[int, ...], int], listing: Path) -> np.ndarray:
    from segnst.video.images import load

    picture = np.rint(load(file).planes()[:3] * 255).astype(np.uint32)
    codes = picture[0] << 16 | picture[1] << 8 | picture[2]
    label = np.full(codes.shape, PARTIAL, np.uint8)
    for (red, green, blue), value in {(0, 0, 0): 0, **values}.items():
        label[codes == (red << 16 | green << 8 | blue)] = value
    if (label == PARTIAL).any():
        y, x = (int(v[0]) for v in np.nonzero(label == PARTIAL))
        raise InputError(f"{file} has the color {tuple(picture[:, y, x].tolist())}, which {listing} does not list.")
    return label
