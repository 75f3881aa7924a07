"""Photos with the mask of every object in them, as training batches.

A folder of data is one of

    DIR/PNGImages/NAME.png with DIR/PedMasks/NAME_mask.png (Penn-Fudan), or DIR/images with DIR/masks
        pixel value 0 = background, 1, 2 … = the first, second object: two classes
    DIR/*.json (COCO: polygons, boxes, RLE) with its images beside it or in DIR/images: its categories
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst.errors import InputError
from segnst.files import PICTURE_SUFFIXES
from segnst.masks.coco import categories, instances
from segnst.masks.labeled import read_image, read_label

Objects = tuple[np.ndarray, list[int]]  # masks bool [N,H,W], class of each
_PAIRS = (("PNGImages", "PedMasks"), ("images", "masks"))
_SMALLEST = 2  # px, sides of a box that the network is shown


@dataclass(frozen=True)
class Photo:
    """One photo and how to get the objects in it."""

    image: Path
    objects: Callable[[], Objects]


def default_classes(folder: Path) -> list[str]:
    """Names of the classes where none are given: "other", then COCO's categories or else one named "object"."""
    files = sorted(folder.glob("*.json"))
    return ["other", *dict.fromkeys(n for f in files for n in categories(f))] if files else ["other", "object"]


def find_photos(folder: Path, names: Sequence[str]) -> list[Photo]:
    """List the photos of a folder, sorted by name. Raises InputError where there is nothing to learn from."""
    if not folder.is_dir():
        raise InputError(f"The data folder {folder} does not exist.")
    files = sorted(folder.glob("*.json"))
    if files:
        return [Photo(image, objects) for f in files for image, objects in instances(f, names)]
    for images, masks in _PAIRS:
        if (folder / images).is_dir() and (folder / masks).is_dir():
            if len(names) != 2:
                raise InputError(f"The masks of {folder} hold one class: give two names, --classes other,NAME.")
            found = {p.stem.removesuffix("_mask"): p for p in (folder / masks).glob("*.png")}
            photos = sorted(p for p in (folder / images).iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
            pairs = [Photo(p, partial(_split, found[p.stem])) for p in photos if p.stem in found]
            if pairs:
                return pairs
    raise InputError(
        f"{folder} holds nothing to learn from: expected PNGImages with PedMasks (or images with masks), where each "
        f"object has a value of its own, or a COCO JSON file."
    )


def _split(path: Path) -> Objects:
    label = read_label(path)
    values = [v for v in np.unique(label) if v]
    return np.stack([label == v for v in values]) if values else np.zeros((0, *label.shape), bool), [1] * len(values)


def load(photo: Photo, classes: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """RGB uint8 [H,W,3], masks bool [N,H,W] and the class of each. Raises InputError for what does not fit."""
    image = read_image(photo.image)
    masks, labels = photo.objects()
    if masks.shape[1:] != image.shape[:2]:
        raise InputError(
            f"The masks of {photo.image} are {masks.shape[2]}x{masks.shape[1]} but the image is "
            f"{image.shape[1]}x{image.shape[0]}: they must have the same size."
        )
    if any(not 0 < label < classes for label in labels):
        raise InputError(f"{photo.image} has an object whose class is none of the {classes} classes.")
    return image, masks, labels


def boxes(masks: np.ndarray) -> np.ndarray:
    """Masks [N,H,W] -> the box round each, float32 [N,4]: left, top, right, bottom in pixel edges."""
    out = np.zeros((len(masks), 4), np.float32)
    for k, mask in enumerate(masks):
        ys, xs = np.nonzero(mask)
        if len(ys):
            out[k] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    return out


def draw(
    photos: Sequence[Photo], classes: int, batch: int, key: tuple[int, int]
) -> list[tuple[Tensor, dict[str, Any]]]:
    """Images [3,H,W] in [0,1] and torchvision's targets; they depend on ``key`` (seed, iteration) alone.

    Half of the photos are mirrored; all are changed a little in brightness and size.
    """
    rng = np.random.default_rng(key)
    out = []
    for photo in rng.choice(len(photos), batch):
        image, masks, labels = load(photos[photo], classes)
        grow = float(np.exp(rng.uniform(-0.3, 0.2)))
        size = (max(16, round(image.shape[1] * grow)), max(16, round(image.shape[0] * grow)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if grow < 1 else cv2.INTER_LINEAR)
        shrunk = [cv2.resize(m.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0 for m in masks]
        masks = np.stack(shrunk) if shrunk else np.zeros((0, size[1], size[0]), bool)
        if rng.random() < 0.5:
            image, masks = image[:, ::-1], masks[..., ::-1]
        x = image.astype(np.float32) / 255
        x = np.clip(x ** np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.1)), 0, 1).astype(np.float32)
        frames = boxes(masks)
        usable = (frames[:, 2:] - frames[:, :2] >= _SMALLEST).all(1)
        target = {
            "boxes": torch.from_numpy(frames[usable]),
            "labels": torch.tensor([label for label, ok in zip(labels, usable, strict=True) if ok], dtype=torch.int64),
            "masks": torch.from_numpy(np.ascontiguousarray(masks[usable])).to(torch.uint8),
        }
        out.append((torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1))), target))
    return out
