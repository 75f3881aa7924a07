"""Read COCO annotation files (polygons, boxes, run lengths) as label maps. Small objects are painted over large ones.

Format: https://cocodataset.org/#format-data (bbox is x, y, width, height; run lengths are in column-major order).
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

MAX_ANNOTATIONS = 10_000  # of one image
_CROWD = 255
_MOST_PAINTED = 1 << 35  # annotations times pixels of one image; this many take about half a minute
_MOST_KEPT = 1 << 30  # bytes of masks to hold in memory
_FAR = 1e5  # pixels; fillPoly visits every row of a polygon, also those outside of the picture


def read_coco(path: Path, names: Sequence[str]) -> Iterator[tuple[Path, Callable[[], np.ndarray]]]:
    """Yield (image, function that returns its label map uint8 [H,W]) for each image of a COCO file.

    ``names`` are the classes in order; pixels without an annotation get index 0. So do categories that match no class
    and no alias. Crowds get 255, which is ignored.
    Raises InputError for a file that is not COCO, for missing images, and if no category matches a class.
    """
    content = read(path)
    index = _match(content.categories, names, path)
    for number, image in content.images.items():
        file, size = _find(path, image)
        yield file, partial(paint, content.annotations.get(number, []), index, size, path, crowd=_CROWD)


def categories(path: Path) -> list[str]:
    """Names of a COCO file's categories in lower case, in order of their ids. Raises InputError."""
    return [name.strip().lower() for _, name in sorted(read(path).categories.items())]


def instances(path: Path, names: Sequence[str]) -> Iterator[tuple[Path, Callable[[], tuple[np.ndarray, list[int]]]]]:
    """Like :func:`read_coco`, but each function returns masks of the objects, bool [N,H,W], and their class indices.

    Crowds and objects whose category matches none of ``names`` are left out.
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
    """A parsed COCO file: names of categories by id, images by id, annotations by the id of their image."""

    categories: dict[int, str]
    images: dict[int, dict[str, Any]]
    annotations: dict[int, list[dict[str, Any]]]


def read(path: Path) -> Content:
    """Read a COCO file. Annotations without a category are left out, with a SegnstWarning. Raises InputError."""
    data = read_bytes(path, MAX_JSON_BYTES, "COCO file")
    try:
        return parse(parse_json(data), path)
    except ValueError as error:
        raise InputError(f"{path} is not a COCO annotation file: {error}.") from error


def parse(whole_file: Any, path: Path) -> Content:
    """What :func:`read` does with JSON that was parsed already. Raises InputError."""
    try:
        content = table(whole_file, "the file")
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
                    f"image {number} has {len(each)} annotations, more than the limit of {MAX_ANNOTATIONS}"
                )
    except ValueError as error:
        raise InputError(f"{path} is not a COCO annotation file: {error}.") from error
    if nameless:
        warnings.warn(f"{path} has {nameless} annotations without a category; they are left out.", SegnstWarning, 2)
    return Content(names, images, annotations)


def category_of(annotation: dict[str, Any]) -> int | None:
    """The id of an annotation's category, or None if it has none. Raises ValueError."""
    number = annotation.get("category_id")
    return None if number is None else whole(number, "an annotation's category_id")


def size_of(image: dict[str, Any], path: Path) -> tuple[int, int]:
    """Height and width of an image. Raises InputError if they are missing, not positive or too large."""
    try:
        height, width = (whole(image.get(k), f"an image's {k}") for k in ("height", "width"))
    except ValueError as error:
        raise InputError(f"{path} is not a COCO annotation file: {error}.") from error
    check_pixels(width, height, Path(f"{path}, image {short(image.get('file_name'))}"))
    return height, width


def _find(path: Path, image: dict[str, Any]) -> tuple[Path, tuple[int, int]]:
    """The path of an image, and its height and width. Raises InputError if the file is not found."""
    name = str(image.get("file_name"))
    try:
        file = next((f for f in _places(path, name) if f.is_file()), None)
    except (OSError, ValueError):  # a name that the file system does not allow
        file = None
    if file is None:
        raise InputError(f"The image {short(name)}, which {path} lists, was not found in its folder or in images/.")
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
    """Annotations of one image -> label map uint8 [H,W]; smaller objects cover larger ones.

    index  class index by category id
    crowd  the value for crowds, if it should differ from that of their category

    Annotations without an outline are left out, with a SegnstWarning. Raises InputError.
    """
    label = np.zeros(size, np.uint8)
    if len(annotations) * label.size > _MOST_PAINTED:
        raise InputError(f"{path} has {len(annotations)} annotations on one image of {size[1]}x{size[0]}: too many.")
    keep = len(annotations) * label.size <= _MOST_KEPT  # otherwise each mask is drawn twice, to save memory
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
        warnings.warn(f"{path} has {empty} annotations without an outline; they are left out.", SegnstWarning, 2)
    return label


def _mask(annotation: dict[str, Any], size: tuple[int, int], path: Path) -> np.ndarray | None:
    try:
        return object_mask(annotation, size)
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(f"An annotation in {path} cannot be read ({short(str(error))}).") from error


def object_mask(annotation: dict[str, Any], size: tuple[int, int]) -> np.ndarray | None:
    """The mask of one annotation, bool [H,W], from its polygons or run lengths if it has them, else from its box.

    None if all of its polygons have fewer than three points.
    Raises ValueError, KeyError, TypeError, IndexError or OverflowError if it is broken.
    """
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        theirs = tuple(whole(v, "the size of run lengths") for v in shape.get("size", size))
        if theirs != size:
            raise ValueError(f"the run lengths are for an image of {list(theirs)[:2]}, but the image is {list(size)}")
        return decode_rle(shape["counts"], size)
    mask = np.zeros(size, np.uint8)
    if "bitmap" in annotation:
        return _bitmap(annotation["bitmap"], mask)
    if shape:
        outlines = [points for polygon in shape if len(points := _points(polygon)) >= 3]
        for points in outlines:
            cv2.fillPoly(mask, [np.round((points - 0.5) * 16).astype(np.int32)], 1, shift=4)
        return mask.astype(bool) if outlines else None
    x, y, width, height = (real(v, "a side of a box") for v in annotation["bbox"])
    left, top, right, bottom = (round(v) for v in (x, y, x + width, y + height))
    mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 1
    return mask.astype(bool)


def _bitmap(bitmap: dict[str, Any], mask: np.ndarray) -> np.ndarray:
    """Row-major run lengths inside a box (``segnst.masks.foreign``) -> bool [H,W]. Raises ValueError, KeyError."""
    left, top, width, height = bitmap["box"]
    if not (left + width <= mask.shape[1] and top + height <= mask.shape[0]):
        raise ValueError("a mask lies outside of its image")
    runs = [whole(run, "a run length", 0, width * height) for run in bitmap["counts"]]
    if sum(runs) != width * height:
        raise ValueError(f"the run lengths cover {sum(runs)} pixels, but the mask has {width * height}")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask[top : top + height, left : left + width] = values.reshape(height, width)
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
    """COCO run lengths, plain or compressed -> bool [H,W]. Raises ValueError, TypeError or IndexError."""
    height, width = size
    pixels = height * width
    runs = _uncompress(counts) if isinstance(counts, str) else [whole(c, "a run length", 0, pixels) for c in counts]
    if sum(runs) != pixels or min(runs, default=0) < 0:
        raise ValueError(f"the run lengths cover {short(sum(runs))} pixels, but the image has {pixels}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T.copy()


def encode_rle(mask: np.ndarray) -> list[int]:
    """bool [H,W] -> COCO's plain run lengths, in column-major order; the first run is of pixels that are not set."""
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate(([0], ends, [flat.size]))).tolist()
    return [0, *runs] if flat[0] else runs


def _uncompress(text: str) -> list[int]:
    """Decode COCO's compressed run lengths.

    Each character holds six bits, five of them data. From the fourth run on, a run is stored as its difference to the
    run two before it. Raises ValueError or IndexError.
    """
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
