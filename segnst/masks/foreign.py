"""Annotations of other programs as the content of a COCO file: labelme, CVAT, YOLO's polygons, lists of SAM.

All of them become COCO's structure (:class:`segnst.masks.coco.Content`), which is drawn with its bounds on numbers of
annotations, pixels and coordinates.

Formats: https://labelme.io/docs/json-format, https://docs.cvat.ai/docs/manual/advanced/xml_format/,
https://docs.ultralytics.com/datasets/segment/, https://github.com/facebookresearch/segment-anything#dataset
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from segnst.errors import InputError, SegnstWarning
from segnst.masks.coco import MAX_ANNOTATIONS, Content
from segnst.masks.label_map import PARTIAL
from segnst.untrusted import first_line, printable, read_bytes, real, rows, safe_name, short, table, whole

MAX_TEXT_BYTES = 128 << 20  # of an XML or a text file
MAX_FRAMES = 1 << 20
CORNERS = 64  # of the polygon that stands for an ellipse


class Builder:
    """Collects images and annotations; classes get their numbers in the order in which they appear."""

    def __init__(self) -> None:
        self.content = Content({}, {}, {})
        self._names: dict[str, int] = {}
        self.left_out = 0

    def category(self, name: Any) -> int:
        """The id of a class. Raises ValueError for one without a name, or for too many."""
        word = printable(str(name or "")).strip().lower()
        if not word:
            raise ValueError("it has an annotation without a label")
        if word not in self._names:
            if len(self._names) >= MAX_ANNOTATIONS:
                raise ValueError("it has too many labels")
            self._names[word] = len(self._names) + 1
            self.content.categories[self._names[word]] = word
        return self._names[word]

    def image(self, number: int, name: str, size: tuple[Any, Any]) -> None:
        """Add an image of (height, width)."""
        self.content.images[number] = {"id": number, "file_name": name, "height": size[0], "width": size[1]}

    def add(self, image: int, label: Any, shape: Mapping[str, Any]) -> None:
        """Add an annotation: ``segmentation`` or ``bbox`` as COCO has them. Raises ValueError."""
        mine = self.content.annotations.setdefault(image, [])
        if len(mine) >= MAX_ANNOTATIONS:
            raise ValueError(f"an image has more than {MAX_ANNOTATIONS} annotations")
        mine.append({"image_id": image, "category_id": self.category(label), **shape})

    def done(self, path: Path, what: str) -> Content:
        """The content. Warns of shapes that are no areas."""
        if self.left_out:
            text = f"{path} has {self.left_out} {what} that are no areas (points, lines …); they are left out."
            warnings.warn(text, SegnstWarning, 2)
        return self.content


def _polygon(points: Sequence[Sequence[float]]) -> dict[str, Any]:
    return {"segmentation": [[float(v) for point in points for v in point]]}


def _ellipse(x: float, y: float, rx: float, ry: float) -> dict[str, Any]:
    angles = np.linspace(0, 2 * math.pi, CORNERS, endpoint=False)
    return _polygon([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles])


def _box(left: float, top: float, right: float, bottom: float) -> dict[str, Any]:
    left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
    return {"bbox": [left, top, right - left, bottom - top]}


def labelme(files: Sequence[tuple[Path, Any]]) -> Content:
    """Files of labelme, parsed, one for each frame; polygons, rectangles and circles are areas. Raises InputError."""
    found = Builder()
    for number, (path, content) in enumerate(files):
        try:
            facts = table(content, "the file")
            found.image(number, f"{path.stem}.png", (facts.get("imageHeight"), facts.get("imageWidth")))
            for shape in rows(facts.get("shapes"), "shapes", MAX_ANNOTATIONS):
                listed = shape.get("points")
                points = [_point(p) for p in listed] if isinstance(listed, list) else []
                kind = shape.get("shape_type") or "polygon"
                if kind == "rectangle" and len(points) == 2:
                    found.add(number, shape.get("label"), _box(*points[0], *points[1]))
                elif kind == "circle" and len(points) == 2:
                    radius = math.dist(points[0], points[1])
                    found.add(number, shape.get("label"), _ellipse(*points[0], radius, radius))
                elif kind in ("polygon", "rectangle") and len(points) >= 3:
                    found.add(number, shape.get("label"), _polygon(points))
                else:
                    found.left_out += 1
        except ValueError as error:
            raise InputError(f"{path} is not a file of labelme: {first_line(error)}.") from error
    return found.done(files[0][0], "shapes")


def _point(pair: Any) -> tuple[float, float]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ValueError(f"a point should be two numbers, not {short(pair)}")
    return real(pair[0], "a coordinate"), real(pair[1], "a coordinate")


def sam(files: Sequence[tuple[Path, Any]]) -> Content:
    """Lists that SAM's mask generator returns, or files of SA-1B, parsed: ``mask1`` is a frame's largest. Raises
    InputError."""
    found = Builder()
    left = 0
    for number, (path, content) in enumerate(files):
        try:
            listed = content.get("annotations") if isinstance(content, dict) else content
            masks = rows(listed, "the list of masks", MAX_ANNOTATIONS)
            runs = [table(m.get("segmentation"), "a segmentation") for m in masks]
            sizes = {tuple(whole(v, "a size", 1) for v in r.get("size") or ()) for r in runs}
            if len(sizes) != 1 or len(next(iter(sizes))) != 2:
                raise ValueError("its masks should have run lengths of one size, [height, width]")
            found.image(number, f"{path.stem}.png", tuple(sizes.pop()))  # type: ignore[arg-type]
            areas = [real(m.get("area", 0), "an area") for m in masks]
            order = sorted(range(len(masks)), key=lambda k: -areas[k])
            left += max(0, len(order) - PARTIAL + 1)
            for rank, k in enumerate(order[: PARTIAL - 1], 1):
                found.add(number, f"mask{rank}", {"segmentation": runs[k]})
        except ValueError as error:
            raise InputError(f"{path} is not a list of masks of SAM: {first_line(error)}.") from error
    if left:
        warnings.warn(f"{files[0][0]}: the {left} smallest masks are left out.", SegnstWarning, 2)
    return found.content


def yolo(files: Sequence[Path], names: Sequence[str], size: tuple[int, int]) -> Content:
    """Text files of YOLO, one for each frame: a line is a class and a polygon, or a class and a box's center and size.

    All are shares of the frame.

    names  of the classes;  size  (H, W) of the frames
    Raises InputError.
    """
    found = Builder()
    height, width = size
    for number, path in enumerate(files):
        found.image(number, f"{path.stem}.png", size)
        text = read_bytes(path, MAX_TEXT_BYTES, "file of YOLO") if path.stat().st_size else b""
        for at, line in enumerate(text.splitlines(), 1):
            words = line.split()
            if not words:
                continue
            try:
                index = whole(words[0].decode("ascii", "replace"), "a class", 0, len(names) - 1)
                values = [real(w.decode("ascii", "replace"), "a coordinate") for w in words[1:]]
                if len(values) == 4:
                    x, y, wide, high = (v * s for v, s in zip(values, (width, height) * 2, strict=True))
                    found.add(number, names[index], _box(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2))
                elif len(values) >= 6 and len(values) % 2 == 0:
                    points = [(values[k] * width, values[k + 1] * height) for k in range(0, len(values), 2)]
                    found.add(number, names[index], _polygon(points))
                else:
                    raise ValueError("a line should be a class and three points or more, or a class and a box")
            except ValueError as error:
                raise InputError(f"{path}, line {at}, is not of YOLO: {first_line(error)}.") from error
    return found.content


def cvat(path: Path) -> Content:
    """CVAT's XML, "for images" or "for video": polygons, boxes, ellipses and masks are areas. Raises InputError."""
    data = read_bytes(path, MAX_TEXT_BYTES, "annotation file")
    reader = _Cvat()
    try:
        parser = expat.ParserCreate()
        # Neither format declares a document type; without one, there are no entities that could expand.
        parser.StartDoctypeDeclHandler = reader.refuse
        parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
        parser.CharacterDataHandler = reader.text
        parser.Parse(data, True)
        return reader.content().done(path, "shapes")
    except (expat.ExpatError, ValueError) as error:
        raise InputError(f"{path} is not an annotation file of CVAT: {first_line(error)}.") from error


class _Cvat:
    """Listens to the elements: ``image`` holds the shapes of a picture, ``track`` those of an object by frame."""

    def __init__(self) -> None:
        self.found = Builder()
        self.path: list[str] = []
        self.words: dict[str, str] = {}  # what <meta> says
        self.image: int | None = None
        self.track: str | None = None
        self.shapes: list[tuple[int, str, dict[str, Any]]] = []  # of tracks: the size of their frames is known at last

    def refuse(self, *_: Any) -> None:
        raise ValueError("it declares a document type")

    def start(self, name: str, facts: dict[str, str]) -> None:
        self.path.append(name)
        if len(self.path) > 50:
            raise ValueError("it is nested too deeply")
        if name == "annotations" and len(self.path) == 1:
            return
        if self.path[0] != "annotations":
            raise ValueError("its outermost element should be <annotations>")
        if name == "image":
            self.image = whole(facts.get("id"), "an image's id", 0)
            if len(self.found.content.images) >= MAX_FRAMES:
                raise ValueError("it has too many images")
            title = safe_name(facts.get("name") or f"{self.image}")
            self.found.image(self.image, title, (facts.get("height"), facts.get("width")))
        elif name == "track":
            self.track = facts.get("label")
        elif self.image is not None and self.path[-2] == "image":
            shape = self._shape(name, facts)
            if shape is not None:
                self.found.add(self.image, facts.get("label"), shape)
        elif self.path[-2] == "track" and facts.get("outside") != "1":
            shape = self._shape(name, facts)
            if shape is not None:
                if len(self.shapes) >= MAX_FRAMES:
                    raise ValueError("it has too many shapes")
                self.shapes.append((whole(facts.get("frame"), "a frame", 0, MAX_FRAMES), self.track or "", shape))

    def end(self, name: str) -> None:
        self.path.pop()
        if name == "image":
            self.image = None

    def text(self, data: str) -> None:
        if len(self.path) > 2 and self.path[1] == "meta" and self.path[-1] in ("width", "height", "size"):
            key = self.path[-1]
            self.words[key] = (self.words.get(key, "") + data.strip())[:20]

    def content(self) -> Builder:
        if self.shapes:
            size = (self.words.get("height"), self.words.get("width"))
            count = 1 + max(frame for frame, *_ in self.shapes)
            for number in range(max(count, min(MAX_FRAMES, whole(self.words.get("size", "0"), "the task's size", 0)))):
                self.found.image(number, f"{number:06d}.png", size)
            for number, label, shape in self.shapes:
                self.found.add(number, label, shape)
        return self.found

    def _shape(self, kind: str, facts: dict[str, str]) -> dict[str, Any] | None:
        def number(key: str) -> float:
            return real(facts.get(key), f"'{key}'")

        if kind == "polygon":
            pairs = [pair.split(",") for pair in (facts.get("points") or "").split(";")]
            return _polygon([_point(pair) for pair in pairs])
        if kind == "box":
            return _box(number("xtl"), number("ytl"), number("xbr"), number("ybr"))
        if kind == "ellipse":
            return _ellipse(number("cx"), number("cy"), number("rx"), number("ry"))
        if kind == "mask":
            corner = [whole(facts.get(key), f"'{key}'", 0) for key in ("left", "top", "width", "height")]
            return {"bitmap": {"box": corner, "counts": (facts.get("rle") or "").split(",")}}
        self.found.left_out += kind in ("points", "polyline", "cuboid", "skeleton")
        return None
