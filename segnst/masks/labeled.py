"""Find photos with label maps in a data folder, and decide which of them are held back for validation.

A data folder has one of these layouts:

    DIR/images/*.jpg and DIR/labels/*.png with the same stems (the folder ``labels`` can have another name)
    DIR/*.json (COCO: polygons, boxes, run lengths), with the images in DIR or in DIR/images
    DIR/*.jpg without labels, if there are predictions of a teacher for them (``soft``)

Values of labels: a class index; 254 = not one of the classes that this folder labels, otherwise unknown; 255 = ignore.
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
    """One photo: its path, a function that returns its label map (or None), and a teacher's ``.npz`` (or None)."""

    image: Path
    label: Callable[[], np.ndarray] | None = None
    soft: Path | None = None


def held_back(image: Path, every: int) -> bool:
    """Whether a photo is held back for validation: about one of ``every``, chosen by a hash of its name.

    The choice is the same on every machine. 0 holds none back.
    """
    return every > 0 and int(hashlib.sha256(image.stem.encode()).hexdigest()[:8], 16) % every == 0


def read_label(path: Path, values: Sequence[int] = ()) -> np.ndarray:
    """Read a gray or palette PNG as a label map, uint8 [H,W]. Raises InputError for other kinds of files.

    values  the value of each class in the file, if it differs from the class index; all other values become 255
    """
    labels = read_png(path)
    if labels.max() > IGNORE:
        raise InputError(f"The label map {path} holds the value {labels.max()}; the largest allowed is {IGNORE}.")
    if values:
        table = np.full(256, IGNORE, np.uint8)
        table[list(values)] = np.arange(len(values), dtype=np.uint8)
        return np.asarray(table[labels])
    return labels.astype(np.uint8, copy=False)


def read_image(path: Path) -> np.ndarray:
    """Read a photo -> uint8 RGB [H,W,3]. Raises InputError."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path} cannot be read as an image.")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def find_items(
    folder: Path, names: Sequence[str], soft: Path | None = None, labels: str = "labels", values: Sequence[int] = ()
) -> list[Item]:
    """List the photos of ``folder`` that have labels or predictions of a teacher, sorted by name.

    names   class names in order; COCO categories are matched to them
    soft    folder with the teacher's predictions, STEM.npz
    labels  name of the folder with the label maps
    values  see :func:`read_label`

    Raises InputError, which says what was expected, if there is no such photo.
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
            f"{folder} holds no training data: expected images/NAME.jpg with {labels}/NAME.png, or a COCO "
            f"JSON file. Photos without labels need a teacher."
        )
    return items
