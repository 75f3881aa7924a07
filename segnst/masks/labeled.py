"""Photos with label maps as they lie in a folder, and which of them are kept for measuring.

A folder of data is one of

    DIR/images/*.jpg with DIR/labels/*.png of the same stem (or another folder than labels/, if so told)
    DIR/*.json (COCO: polygons, boxes, RLE) with its images beside it or in DIR/images
    DIR/*.jpg alone, where a teacher's word on them exists (``soft``)

Label values: a class index; 254 = known not to be a class that this folder labels, otherwise unknown; 255 = ignore.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from segnst.errors import InputError
from segnst.files import PICTURE_SUFFIXES
from segnst.masks.coco import read_coco
from segnst.masks.indexed_png import read_png
from segnst.masks.label_map import IGNORE


@dataclass(frozen=True)
class Item:
    """One photo: where it lies, how to get its label map (or None), and a teacher's ``.npz`` (or None)."""

    image: Path
    label: Callable[[], np.ndarray] | None = None
    soft: Path | None = None


def held_back(image: Path, every: int) -> bool:
    """Say whether a photo is for measuring: every n-th by a hash of its name, the same on every machine."""
    return every > 0 and int(hashlib.sha256(image.stem.encode()).hexdigest()[:8], 16) % every == 0


def read_label(path: Path, values: Sequence[int] = ()) -> np.ndarray:
    """Read a label map: gray or palette PNG -> uint8 [H,W] of class indices. Raises InputError for other kinds.

    values  the value of each class in the file, where it is not its index; all other values become 255
    """
    labels = read_png(path)
    if labels.max() > IGNORE:
        raise InputError(f"The label map {path} holds the value {labels.max()}; label maps have values up to {IGNORE}.")
    if values:
        table = np.full(256, IGNORE, np.uint8)
        table[list(values)] = np.arange(len(values), dtype=np.uint8)
        return np.asarray(table[labels])
    return labels.astype(np.uint8, copy=False)


def read_image(path: Path) -> np.ndarray:
    """Read a photo -> uint8 RGB [H,W,3]."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path} cannot be read as an image.")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def find_items(
    folder: Path, names: Sequence[str], soft: Path | None = None, labels: str = "labels", values: Sequence[int] = ()
) -> list[Item]:
    """List the usable photos of ``folder``, sorted by name.

    ``names`` are the class names in order (COCO categories are matched to them), ``labels`` the folder of the
    label maps and ``values`` what stands for each class in them (see :func:`read_label`). Raises InputError
    where there is nothing to learn from, saying what was looked for.
    """
    if not folder.is_dir():
        raise InputError(f"The data folder {folder} does not exist.")
    annotations = sorted(folder.glob("*.json"))
    if annotations:
        return [Item(image, label) for file in annotations for image, label in read_coco(file, names)]
    images = folder / "images" if (folder / "images").is_dir() else folder
    maps = {p.stem: p for p in (folder / labels).glob("*.png")} if (folder / labels).is_dir() else {}
    items = []
    for image in sorted(p for p in images.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES):
        label = maps.get(image.stem)
        word = soft / f"{image.stem}.npz" if soft is not None else None
        word = word if word is not None and word.exists() else None
        if label is not None or word is not None:
            items.append(Item(image, partial(read_label, label, values) if label is not None else None, word))
    if not items:
        raise InputError(
            f"{folder} holds no pairs to learn from: expected images/NAME.jpg with {labels}/NAME.png, or a COCO "
            f"JSON file. Photos without labels need a teacher."
        )
    return items
