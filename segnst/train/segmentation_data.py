"""Training batches of photos with label maps or with the predictions of a teacher network.

The layout of the folders and the label values are described in segnst.masks.labeled. When a photo is mirrored, classes
called left_… and right_… are swapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst.errors import InputError
from segnst.masks.label_map import IGNORE, PARTIAL
from segnst.masks.labeled import Item, read_image

REFERENCE = 513  # px of the long side at augmentation scale 1, and the default when the network is used
_CACHED_SIDE = 640


@dataclass
class Source:
    """One folder of data. ``partial``: the classes that the value 254 rules out (all that its labels contain)."""

    name: str
    items: list[Item]
    weight: float = 1.0
    partial: tuple[int, ...] = ()


def mirrored_classes(names: Sequence[str]) -> tuple[int, ...]:
    """Return the class that each class becomes in a mirrored photo: ``left_door`` and ``right_door`` are swapped."""
    swap = {"left": "right", "right": "left"}
    seen = ["_".join(swap.get(word, word) for word in name.replace(" ", "_").split("_")) for name in names]
    index = {name.replace(" ", "_"): k for k, name in enumerate(names)}
    return tuple(index.get(other, k) for k, other in enumerate(seen))


def check_source(name: str, items: list[Item], classes: int, weight: float = 1.0) -> Source:
    """Read all labels of a folder once: sizes must match their images, values must be classes, 254 or 255."""
    seen: set[int] = set()

    def look(item: Item) -> set[int]:
        if item.label is None:
            return set()
        label, image = item.label(), read_image(item.image)
        if label.shape != image.shape[:2]:
            raise InputError(
                f"The label of {item.image} is {label.shape[1]}x{label.shape[0]} but the image is "
                f"{image.shape[1]}x{image.shape[0]}: they must have the same size."
            )
        values = {int(v) for v in np.unique(label)}
        wrong = sorted(v for v in values if classes <= v < PARTIAL)
        if wrong:
            raise InputError(
                f"The label of {item.image} holds the value {wrong[0]}, but there are only {classes} classes "
                f"(0 to {classes - 1}; 254 = none of the labeled, 255 = ignore). Name more classes with --classes."
            )
        return values

    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(look, items):
            seen |= values
    known = tuple(sorted(v for v in seen if v < PARTIAL))
    return Source(name, items, weight, known if PARTIAL in seen else ())


@dataclass(frozen=True)
class Batch:
    """What one training step needs. n = (crop-1)/2+1: labels lie on every second pixel of the image.

    image    [B,3,crop,crop] float in [-1,1]
    label    [B,n,n] int64: class, 254 or 255
    partial  [B,K] bool: classes that 254 rules out
    groups   [B,G,n,n] float in [0,1]: a teacher's probabilities
    asked    [B] bool: which photos have ``groups``
    pseudo   [B,n,n] int64: the class where a teacher is sure, else 255
    """

    image: Tensor
    label: Tensor
    partial: Tensor
    groups: Tensor
    asked: Tensor
    pseudo: Tensor


@dataclass
class Sampler:
    """Draws batches. Batch i depends only on (seed, i), so that a resumed run gives the same result."""

    sources: list[Source]
    classes: int
    groups: tuple[int, ...] = ()  # class index of each of the teacher's groups
    crop: int = 321
    batch: int = 8
    seed: int = 0
    scale: tuple[float, float] = (0.6, 1.5)
    mirrored: tuple[int, ...] = ()  # what each class becomes in a mirrored photo; (): itself
    _cache: dict[Path, tuple[np.ndarray, ...]] = field(default_factory=dict, repr=False)

    def _load(self, item: Item, source: Source) -> tuple[np.ndarray, ...]:
        """Image [H,W,3], label [H,W], groups [h,w,G] (h = 0: none), pseudo [h,w]; all uint8, kept in memory."""
        if item.image in self._cache:
            return self._cache[item.image]
        image = read_image(item.image)
        label = item.label() if item.label is not None else np.full(image.shape[:2], PARTIAL, np.uint8)
        if max(image.shape) > _CACHED_SIDE:
            ratio = _CACHED_SIDE / max(image.shape)
            size = (round(image.shape[1] * ratio), round(image.shape[0] * ratio))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
        groups = np.zeros((0, 0, len(self.groups)), np.uint8)
        pseudo = np.zeros((0, 0), np.uint8)
        if item.soft is not None:
            with np.load(item.soft) as stored:
                groups, pseudo = np.ascontiguousarray(stored["groups"].transpose(1, 2, 0)), stored["labels"]
            if item.label is not None:
                label = self._fill(label, groups, source)
        self._cache[item.image] = (image, label, groups, pseudo)
        return self._cache[item.image]

    def _fill(self, label: np.ndarray, groups: np.ndarray, source: Source) -> np.ndarray:
        """Let the teacher label the classes that a folder's labels lack.

        Labels without the class "animal", for instance, have the value 0 on animals.
        """
        label, used = label.copy(), source_classes(source)
        for channel, index in enumerate(self.groups):
            if index not in used:
                p = cv2.resize(groups[..., channel], label.shape[::-1], interpolation=cv2.INTER_LINEAR)
                label[(label == 0) & (p > 128)] = index
                label[(label == 0) & (p > 50)] = IGNORE
        return label

    def _affine(self, rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
        """Matrix [2,3] from source pixels to crop pixels: scale, aspect, mirror, slight turn, place."""
        height, width = label.shape
        s = REFERENCE / max(height, width) * np.exp(rng.uniform(*np.log(self.scale)))
        aspect = np.exp(rng.uniform(-0.1, 0.1))
        angle = rng.normal(0, 0.05) if rng.random() < 0.3 else 0.0
        mirror = -1.0 if rng.random() < 0.5 else 1.0
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        a = turn @ np.diag([s * aspect * mirror, s / aspect])
        focus = None
        present = [v for v in np.unique(label[::4, ::4]) if v < self.classes]
        if present and rng.random() < 0.5:  # center on a random class, so that rare ones occur often enough
            ys, xs = np.nonzero(label[::4, ::4] == present[rng.integers(len(present))])
            k = rng.integers(len(ys))
            focus = np.array([xs[k] * 4.0, ys[k] * 4.0])
        middle, extent = np.array([width - 1, height - 1]) / 2, np.abs(a) @ np.array([width, height])
        free = np.abs(extent - self.crop) / 2
        shift = rng.uniform(-1, 1, 2) * free
        center = a @ middle + shift
        if focus is not None:
            aim = a @ focus + rng.uniform(-0.3, 0.3, 2) * self.crop
            center = np.where(extent > self.crop, np.clip(aim, a @ middle - free, a @ middle + free), center)
        return np.column_stack([a, (self.crop - 1) / 2 - center])

    def _color(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        """uint8 [H,W,3] -> float32 in [0,1]: exposure, contrast, white balance, saturation, blur, noise."""
        if rng.random() < 0.15:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.5))
        x = image.astype(np.float32) / 255
        if rng.random() < 0.8:
            tone = np.linspace(0, 1, 256, dtype=np.float32)[:, None] ** np.float32(np.exp(rng.normal(0, 0.25)))
            tone = tone * np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.05, 3))
            tone = (tone - 0.45) * np.exp(rng.normal(0, 0.15)) + 0.45
            x = cv2.LUT(image, tone.astype(np.float32)[None])
            gray, keep = x.mean(2, keepdims=True), np.float32(rng.uniform(0.4, 1.5))
            x = x * keep + gray * (1 - keep)
        if rng.random() < 0.15:
            x = x + rng.normal(0, rng.uniform(0.01, 0.04), x.shape).astype(np.float32)
        return np.clip(x, 0, 1)

    def _one(self, seed: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(seed)
        weights = np.array([s.weight for s in self.sources])
        source = self.sources[rng.choice(len(self.sources), p=weights / weights.sum())]
        image, label, groups, pseudo = self._load(source.items[rng.integers(len(source.items))], source)
        matrix, n = self._affine(rng, label), (self.crop - 1) // 2 + 1
        half = np.diag([0.5, 0.5]) @ matrix
        full = (self.crop, self.crop)
        image = cv2.warpAffine(image, matrix, full, flags=cv2.INTER_LINEAR, borderValue=(127, 127, 127))
        warped = cv2.warpAffine(label, half, (n, n), flags=cv2.INTER_NEAREST, borderValue=(IGNORE,))
        shape = (len(self.groups), n, n)
        words, sure = np.zeros(shape, np.float32), np.full((n, n), IGNORE, np.uint8)
        if groups.size:
            grow = [(size - 1) / (g - 1) for size, g in zip(label.shape[::-1], groups.shape[1::-1], strict=True)]
            step = half @ np.diag([*grow, 1.0])
            words = cv2.warpAffine(groups, step, (n, n), flags=cv2.INTER_LINEAR).reshape(n, n, -1)
            words = words.transpose(2, 0, 1).astype(np.float32) / 255
            sure = cv2.warpAffine(pseudo, step, (n, n), flags=cv2.INTER_NEAREST, borderValue=(IGNORE,))
        if self.mirrored and np.linalg.det(matrix[:, :2]) < 0:
            table = np.arange(256, dtype=np.uint8)
            table[: self.classes] = self.mirrored
            warped, sure = table[warped], table[sure]
            words = words[[self.groups.index(self.mirrored[g]) for g in self.groups]]
        excluded = np.zeros(self.classes, bool)
        excluded[list(source.partial)] = True
        return self._color(rng, image), warped, excluded, words, np.array(groups.size > 0), sure

    def draw(self, iteration: int) -> Batch:
        """Return the batch of this iteration."""
        rows = [self._one((self.seed, iteration, k)) for k in range(self.batch)]
        image, label, excluded, groups, asked, pseudo = (
            torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)
        )
        image = (image.permute(0, 3, 1, 2) * 2 - 1).contiguous(memory_format=torch.channels_last)
        return Batch(image, label.long(), excluded, groups, asked, pseudo.long())


class Ahead:
    """The batches of a training, drawn by a thread two iterations before they are needed.

    turn  gives the number of the batch to draw for an iteration
    end   number of iterations that are planned
    """

    def __init__(self, sampler: Sampler, turn: Callable[[int], int], end: int) -> None:
        self.sampler, self.turn, self.end = sampler, turn, end
        self._pool: ThreadPoolExecutor | None = None
        self._coming: dict[int, Future[Batch]] = {}

    def take(self, iteration: int) -> Batch:
        """The batch of this iteration."""
        self._pool = self._pool or ThreadPoolExecutor(1)
        for number in range(iteration, min(iteration + 3, self.end)):
            if number not in self._coming:
                self._coming[number] = self._pool.submit(self.sampler.draw, self.turn(number))
        return self._coming.pop(iteration).result()

    def close(self) -> None:
        """End the thread; batches that are still to be drawn are dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool, self._coming = None, {}


def taught_classes(sources: Sequence[Source], names: Sequence[str]) -> tuple[int, ...]:
    """Return the class index of each group in the teacher's files (the same in all of them), () without a teacher."""
    for source in sources:
        for item in source.items:
            if item.soft is not None:
                with np.load(item.soft) as stored:
                    return tuple(list(names).index(str(name)) for name in stored["names"])
    return ()


def source_classes(source: Source) -> frozenset[int]:
    """Return the classes that the labels of a source use; they are read once and cached."""
    kept: frozenset[int] | None = getattr(source, "_classes", None)
    if kept is None:
        values: set[int] = set()
        for item in source.items:
            if item.label is not None:
                values |= {int(v) for v in np.unique(item.label())}
        kept = frozenset(v for v in values if v < PARTIAL)
        source._classes = kept  # type: ignore[attr-defined]
    return kept
