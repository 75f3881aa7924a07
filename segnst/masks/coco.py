"""COCO annotation files as label maps: polygons, boxes and run lengths, painted large to small.

Format: https://cocodataset.org/#format-data (bbox is x, y, width, height; run lengths count down the columns).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segnst.errors import InputError, did_you_mean
from segnst.masks.classes import regions_from_names

_CROWD = 255


def read_coco(path: Path, names: Sequence[str]) -> Iterator[tuple[Path, Callable[[], np.ndarray]]]:
    """Yield (image, function that returns its label map uint8 [H,W]) for each image of a COCO file.

    ``names`` are the classes in order; index 0 is where nothing is annotated. A category that is none of them
    (nor an alias) becomes 0, but when no category at all fits, InputError says which there are.
    Crowds are ignored (255). Raises InputError for a file that is not COCO and for missing images.
    """
    known, images, annotations = _read(path)
    index = _match(known, names, path)
    for number, image in images.items():
        file, size = _find(path, image)
        yield file, partial(paint, annotations.get(number, []), index, size, path)


def categories(path: Path) -> list[str]:
    """Names of a COCO file's categories, in order of their numbers. Raises InputError."""
    known, _, _ = _read(path)
    return [name.strip().lower() for _, name in sorted(known.items())]


def instances(path: Path, names: Sequence[str]) -> Iterator[tuple[Path, Callable[[], tuple[np.ndarray, list[int]]]]]:
    """As :func:`read_coco`, with a function that returns each object's mask bool [N,H,W] and its class index.

    Crowds, and objects of categories that are none of ``names``, are left out.
    """
    known, images, annotations = _read(path)
    index = _match(known, names, path)
    for number, image in images.items():
        file, size = _find(path, image)
        wanted = [a for a in annotations.get(number, []) if not a.get("iscrowd") and a.get("category_id") in index]
        yield file, partial(_objects, wanted, index, size, path)


def _objects(
    annotations: Sequence[dict[str, Any]], index: dict[int, int], size: tuple[int, int], path: Path
) -> tuple[np.ndarray, list[int]]:
    try:
        masks = [object_mask(a, size) for a in annotations]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise InputError(f"An annotation in {path} cannot be read ({error}).") from error
    return np.stack(masks) if masks else np.zeros((0, *size), bool), [index[int(a["category_id"])] for a in annotations]


_Content = tuple[dict[int, str], dict[int, dict[str, Any]], dict[int, list[dict[str, Any]]]]


def _read(path: Path) -> _Content:
    """Categories by number, images by number, annotations by the number of their image."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        images = {int(i["id"]): i for i in content["images"]}
        annotations: dict[int, list[dict[str, Any]]] = {}
        for annotation in content["annotations"]:
            annotations.setdefault(int(annotation["image_id"]), []).append(annotation)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a COCO annotation file ({type(error).__name__}: {error}).") from error
    return names, images, annotations


def _find(path: Path, image: dict[str, Any]) -> tuple[Path, tuple[int, int]]:
    """Where an image lies, and its height and width."""
    file = next((f for f in _places(path, str(image["file_name"])) if f.is_file()), None)
    if file is None:
        raise InputError(f"The image {image['file_name']} that {path} names was not found beside it.")
    return file, (int(image["height"]), int(image["width"]))


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
    annotations: Sequence[dict[str, Any]], index: dict[int, int], size: tuple[int, int], path: Path
) -> np.ndarray:
    """Annotations of one image -> uint8 [H,W]; the largest objects lie at the bottom."""
    label = np.zeros(size, np.uint8)
    try:
        masks = [(object_mask(a, size), a) for a in annotations]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise InputError(f"An annotation in {path} cannot be read ({error}).") from error
    for mask, annotation in sorted(masks, key=lambda pair: -int(pair[0].sum())):
        label[mask] = _CROWD if annotation.get("iscrowd") else index.get(int(annotation["category_id"]), 0)
    return label


def object_mask(annotation: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """One annotation -> bool [H,W]: its polygons, else its run lengths, else its box."""
    shape = annotation.get("segmentation")
    if isinstance(shape, dict):
        return decode_rle(shape["counts"], tuple(shape.get("size", size)))
    mask = np.zeros(size, np.uint8)
    if shape:
        for polygon in shape:
            points = np.asarray(polygon, np.float64).reshape(-1, 2)
            cv2.fillPoly(mask, [np.round((points - 0.5) * 16).astype(np.int32)], 1, shift=4)
    else:
        x, y, width, height = (float(v) for v in annotation["bbox"])
        left, top = max(0, round(x)), max(0, round(y))
        mask[top : max(top, round(y + height)), left : max(left, round(x + width))] = 1
    return mask.astype(bool)


def decode_rle(counts: str | Sequence[int], size: tuple[int, ...]) -> np.ndarray:
    """COCO run lengths, plain or compressed -> bool [H,W]."""
    runs = _uncompress(counts) if isinstance(counts, str) else [int(c) for c in counts]
    height, width = size
    if sum(runs) != height * width or min(runs, default=0) < 0:
        raise ValueError(f"run lengths cover {sum(runs)} pixels of {height * width}")
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
            if not more and byte & 0x10:
                value |= -1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs
