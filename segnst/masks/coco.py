"""COCO annotation files as label maps: polygons, boxes and run lengths, painted large to small.

Format: https://cocodataset.org/#format-data (bbox is x, y, width, height; run lengths count down the columns).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segnst.errors import InputError, SegnstWarning, did_you_mean
from segnst.masks.classes import regions_from_names
from segnst.untrusted import (
    MAX_JSON_BYTES,
    check_pixels,
    parse_json,
    printable,
    read_bytes,
    real,
    rows,
    short,
    table,
    whole,
)

MAX_ANNOTATIONS = 10_000  # on one image
_CROWD = 255
_MOST_PAINTED = 1 << 35  # annotations times pixels of one image: half a minute of work
_MOST_KEPT = 1 << 30  # bytes of masks in memory
_FAR = 1e5  # px; fillPoly walks over every row of a polygon, those outside of the picture too


def read_coco(path: Path, names: Sequence[str]) -> Iterator[tuple[Path, Callable[[], np.ndarray]]]:
    """Yield (image, function that returns its label map uint8 [H,W]) for each image of a COCO file.

    ``names`` are the classes in order; index 0 is where nothing is annotated. A category that is none of them
    (nor an alias) becomes 0, but when no category at all fits, InputError says which there are.
    Crowds are ignored (255). Raises InputError for a file that is not COCO and for missing images.
    """
    content = read(path)
    index = _match(content.categories, names, path)
    for number, image in content.images.items():
        file, size = _find(path, image)
        yield file, partial(paint, content.annotations.get(number, []), index, size, path, crowd=_CROWD)


def categories(path: Path) -> list[str]:
    """Names of a COCO file's categories, in order of their numbers. Raises InputError."""
    return [name.strip().lower() for _, name in sorted(read(path).categories.items())]


def instances(path: Path, names: Sequence[str]) -> Iterator[tuple[Path, Callable[[], tuple[np.ndarray, list[int]]]]]:
    """As :func:`read_coco`, with a function that returns each object's mask bool [N,H,W] and its class index.

    Crowds, and objects of categories that are none of ``names``, are left out.
    """
    content = read(path)
    index = _match(content.categories, names, path)
    for number, image in content.images.items():
        file, size = _find(path, image)
        listed = content.annotations.get(number, [])
        wanted = [a for a in listed if not a.get("iscrowd") and category_of(a) in index]
        yield file, partial(_objects, wanted, index, size, path)


def _objects(
    annotations: Sequence[dict[str, Any]], index: dict[int, int], size: tuple[int, int], path: Path
) -> tuple[np.ndarray, list[int]]:
    kept = [(mask, a) for a in annotations if (mask := _mask(a, size, path)) is not None]
    masks = [mask for mask, _ in kept]
    return np.stack(masks) if masks else np.zeros((0, *size), bool), [index[category_of(a) or 0] for _, a in kept]


@dataclass(frozen=True, slots=True)
class Content:
    """A COCO file: names of categories by number, images by number, annotations by the number of their image."""

    categories: dict[int, str]
    images: dict[int, dict[str, Any]]
    annotations: dict[int, list[dict[str, Any]]]


def read(path: Path) -> Content:
    """Read a COCO file. Annotations without a category are left out, with a SegnstWarning. Raises InputError."""
    data = read_bytes(path, MAX_JSON_BYTES, "COCO file")
    try:
        content = table(parse_json(data), "the file")
        missing = next((k for k in ("categories", "images", "annotations") if k not in content), None)
        if missing is not None:
            raise ValueError(f"it has no '{missing}'")
        found = rows(content["categories"], "categories")
        names = {whole(c.get("id"), "a category's id"): printable(str(c.get("name") or "")).strip() for c in found}
        if not all(names.values()):
            raise ValueError("it has a category without a name")
        images = {whole(i.get("id"), "an image's id"): i for i in rows(content["images"], "images")}
        annotations: dict[int, list[dict[str, Any]]] = {}
        nameless = 0
        for annotation in rows(content["annotations"], "annotations"):
            number = whole(annotation.get("image_id"), "an annotation's image_id")
            if category_of(annotation) is None:
                nameless += 1
            else:
                annotations.setdefault(number, []).append(annotation)
        for number, each in annotations.items():
            if len(each) > MAX_ANNOTATIONS:
                raise ValueError(
                    f"image {number} has {len(each)} annotations; more than {MAX_ANNOTATIONS} are not read"
                )
    except ValueError as error:
        raise InputError(f"{path} is not a COCO annotation file: {error}.") from error
    if nameless:
        warnings.warn(f"{path} has {nameless} annotations without a category; they are left out.", SegnstWarning, 2)
    return Content(names, images, annotations)


def category_of(annotation: dict[str, Any]) -> int | None:
    """The number of an annotation's category, None where it has none. Raises ValueError."""
    number = annotation.get("category_id")
    return None if number is None else whole(number, "an annotation's category_id")


def size_of(image: dict[str, Any], path: Path) -> tuple[int, int]:
    """Height and width of an image. Raises InputError where they make no picture, or one that is too large."""
    try:
        height, width = (whole(image.get(k), f"an image's {k}") for k in ("height", "width"))
    except ValueError as error:
        raise InputError(f"{path} is not a COCO annotation file: {error}.") from error
    check_pixels(width, height, Path(f"{path}, image {short(image.get('file_name'))}"))
    return height, width


def _find(path: Path, image: dict[str, Any]) -> tuple[Path, tuple[int, int]]:
    """Where an image lies, and its height and width."""
    name = str(image.get("file_name"))
    try:
        file = next((f for f in _places(path, name) if f.is_file()), None)
    except (OSError, ValueError):  # a name that no file can have
        file = None
    if file is None:
        raise InputError(f"The image {short(name)} that {path} names was not found beside it.")
    return file, size_of(image, path)


def _places(path: Path, name: str) -> list[Path]:
    return [path.parent / name, path.parent / "images" / name, path.parent / Path(name).name]


def _match(categories: dict[int, str], names: Sequence[str], path: Path) -> dict[int, int]:
    """COCO category id -> class index."""
    regions = regions_from_names(names)
    index = {}
    for number, name in categories.items():
        word = name.strip().lower()
        fits = [r for r in regions if word == r.name] or [r for r in regions if word in r.aliases]
        if fits:
            index[number] = fits[0].index
    if categories and not index:
        theirs = sorted(categories.values())
        near = did_you_mean(theirs[0], names)
        raise InputError(
            f"None of the categories of {path} ({', '.join(theirs)}) is one of the classes ({', '.join(names)}).{near}"
        )
    return index


def paint(
    annotations: Sequence[dict[str, Any]],
    index: dict[int, int],
    size: tuple[int, int],
    path: Path,
    *,
    crowd: int | None = None,
) -> np.ndarray:
    """Annotations of one image -> uint8 [H,W]; the largest objects lie at the bottom.

    crowd  the value of what is annotated as a crowd, where that is not its category's
    Annotations that outline nothing are left out, with a SegnstWarning. Raises InputError.
    """
    label = np.zeros(size, np.uint8)
    if len(annotations) * label.size > _MOST_PAINTED:
        raise InputError(f"{path} has {len(annotations)} annotations on one image of {size[1]}x{size[0]}: too many.")
    keep = len(annotations) * label.size <= _MOST_KEPT  # else the masks are drawn twice, one at a time
    drawn: list[tuple[int, dict[str, Any], np.ndarray | None]] = []
    empty = 0
    for annotation in annotations:
        mask = _mask(annotation, size, path)
        if mask is None:
            empty += 1
        else:
            drawn.append((int(mask.sum()), annotation, mask if keep else None))
    for _, annotation, kept in sorted(drawn, key=lambda entry: -entry[0]):
        value = index.get(category_of(annotation) or 0, 0)
        mask = kept if kept is not None else _mask(annotation, size, path)
        label[mask] = crowd if crowd is not None and annotation.get("iscrowd") else value
    if empty:
        warnings.warn(f"{path} has annotations that outline nothing ({empty}); they are left out.", SegnstWarning, 2)
    return label


def _mask(annotation: dict[str, Any], size: tuple[int, int], path: Path) -> np.ndarray | None:
    try:
        return object_mask(annotation, size)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(f"An annotation in {path} cannot be read ({short(str(error))}).") from error


def object_mask(annotation: dict[str, Any], size: tuple[int, int]) -> np.ndarray | None:
    """One annotation -> bool [H,W]: its polygons, else its run lengths, else its box. None where it outlines nothing:
    polygons of less than three points.

    Raises ValueError, KeyError, TypeError, IndexError or OverflowError where it is broken.
    """
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        theirs = tuple(whole(v, "the size of run lengths") for v in shape.get("size", size))
        if theirs != size:
            raise ValueError(f"run lengths for {list(theirs)[:2]} on an image of {list(size)}")
        return decode_rle(shape["counts"], size)
    mask = np.zeros(size, np.uint8)
    if shape:
        outlines = [points for polygon in shape if len(points := _points(polygon)) >= 3]
        for points in outlines:
            cv2.fillPoly(mask, [np.round((points - 0.5) * 16).astype(np.int32)], 1, shift=4)
        return mask.astype(bool) if outlines else None
    x, y, width, height = (real(v, "a side of a box") for v in annotation["bbox"])
    left, top, right, bottom = (round(v) for v in (x, y, x + width, y + height))
    mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 1
    return mask.astype(bool)


def _points(polygon: Any) -> np.ndarray:
    """x, y, x, y … -> float64 [N,2]. Raises ValueError, TypeError."""
    if not isinstance(polygon, list):
        raise ValueError("a polygon should be a list of numbers")
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("a polygon's numbers should be finite")
    return points.clip(-_FAR, _FAR)


def decode_rle(counts: str | Sequence[int], size: tuple[int, ...]) -> np.ndarray:
    """COCO run lengths, plain or compressed -> bool [H,W]. Raises ValueError, TypeError, IndexError."""
    height, width = size
    pixels = height * width
    runs = _uncompress(counts) if isinstance(counts, str) else [whole(c, "a run length", 0, pixels) for c in counts]
    if sum(runs) != pixels or min(runs, default=0) < 0:
        raise ValueError(f"run lengths cover {short(sum(runs))} pixels of {pixels}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T.copy()


def encode_rle(mask: np.ndarray) -> list[int]:
    """bool [H,W] -> COCO's plain run lengths, down the columns, the first run of what is not set."""
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate(([0], ends, [flat.size]))).tolist()
    return [0, *runs] if flat[0] else runs


def _uncompress(text: str) -> list[int]:
    """COCO's compressed run lengths: six bits a character, five of them data, differences to two runs before."""
    runs: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            byte = ord(text[position]) - 48
            value |= (byte & 0x1F) << shift
            more, shift, position = bool(byte & 0x20), shift + 5, position + 1
            if shift > 40:
                raise ValueError("a run length is too long")
            if not more and byte & 0x10:
                value |= -1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs
