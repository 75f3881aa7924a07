"""The data folders of a segmenter's training: splitting them, and measuring a segmenter on the photos held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from segnst.errors import InputError
from segnst.masks import labeled
from segnst.masks.label_map import PARTIAL, label_map
from segnst.segmentation.base import AnySegmenter
from segnst.train import segmentation_data as data
from segnst.types import Region


@dataclass(frozen=True)
class DataFolder:
    """A folder of photos to train or to measure on.

    weight  relative share of the samples
    soft    folder of a teacher's predictions for the photos
    use     "split" holds every n-th labeled photo back for measuring; "train" and "measure" use all photos for one
    teach   False when the labels are complete, so that no teacher is needed
    labels  name of the folder of label maps
    values  value of each class in the label maps; empty where that is the class's index
    """

    path: Path
    weight: float = 1.0
    name: str = ""
    soft: Path | None = None
    use: Literal["split", "train", "measure"] = "split"
    teach: bool = True
    labels: str = "labels"
    values: tuple[int, ...] = ()


def with_names(folders: Sequence[DataFolder]) -> list[DataFolder]:
    """Give every folder a unique name: its own, with those of parent folders in front where two would be equal."""
    done: list[DataFolder] = []
    for folder in folders:
        parts = folder.path.resolve().parts
        taken = {d.name for d in done}
        names = [folder.name] if folder.name else []
        names += ["-".join(parts[-n:]) for n in range(1, len(parts))]
        names += [f"{names[0]}-{len(done)}"]
        done.append(replace(folder, name=next(n for n in names if n not in taken)))
    return done


def split_sources(
    folders: Sequence[DataFolder], regions: Sequence[Region], hold_back: int
) -> tuple[list[data.Source], list[data.Source]]:
    """Read the folders and split each into photos to train on and photos held back for measuring.

    Without any of the latter, the labeled training photos are measured. Raises InputError.
    """
    if not folders:
        raise InputError("No data to train on: name at least one folder with --data.")
    train, held = [], []
    for folder in with_names(folders):
        name = folder.name
        items = labeled.find_items(folder.path, [r.name for r in regions], folder.soft, folder.labels, folder.values)
        source = data.check_source(name, items, len(regions), folder.weight)
        every = {"split": hold_back, "train": 0, "measure": 1}[folder.use]
        kept = [i for i in items if labeled.held_back(i.image, every)]
        if folder.use == "split" and len(kept) == len(items):
            kept = kept[1:]
        if any(i.label is not None for i in kept):
            held.append(replace(source, items=[i for i in kept if i.label is not None]))
        rest = [i for i in items if i not in kept]
        if rest:
            train.append(replace(source, items=rest))
    if not train:
        raise InputError("No data to train on: all folders are used for measuring only.")
    if not held:
        held = [replace(s, items=[i for i in s.items if i.label is not None]) for s in train]
        held = [s for s in held if s.items]
    return train, held


def count_pixels(segmenter: AnySegmenter, item: labeled.Item, source: data.Source) -> np.ndarray:
    """Return int64 [K,3] for one photo: pixels of each class in the intersection, in the union and in the label.

    Pixels of the value 254 count as errors for the classes that it rules out; those of 255 are ignored.
    """
    assert item.label is not None
    image, label = labeled.read_image(item.image), item.label()
    rgb = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    predicted = label_map(segmenter(rgb)[0], label.shape)[0].cpu().numpy()
    counts = np.zeros((len(segmenter.regions), 3), np.int64)
    for k in range(len(segmenter.regions)):
        judged = label < PARTIAL
        if k in source.partial:
            judged |= label == PARTIAL
        truth, ours = (label == k) & judged, (predicted == k) & judged
        counts[k] = (truth & ours).sum(), (truth | ours).sum(), truth.sum()
    return counts


def iou(row: np.ndarray) -> float:
    """Intersection over union from a row of :func:`count_pixels`."""
    return float(row[0] / row[1]) if row[1] else float("nan")
