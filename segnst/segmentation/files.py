"""Masks from files, as a segmenter: a folder of PNGs, a mask video, one still, or a COCO file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import InputError, SegnstError
from segnst.masks import coco
from segnst.masks.classes import regions_from_names
from segnst.masks.indexed_png import read_png
from segnst.masks.label_map import IGNORE, one_object, shows_one_object
from segnst.pixels import to_bytes
from segnst.segmentation.base import Segmenter
from segnst.segmentation.objects.selection import OBJECT
from segnst.types import Region

CLASSES_FILE = "classes.json"
Load = Callable[[], np.ndarray]  # label map uint8 [h,w], or probabilities float32 [K,h,w]


class FileSegmenter(Segmenter[int]):
    """A segmenter that reads its masks from files; the carry is the number of frames so far.

    masks  one per frame, or a single one for all frames
    """

    def __init__(self, path: Path, regions: Sequence[Region], masks: Sequence[Load]) -> None:
        super().__init__("files", regions)
        self.source, self.masks = path, tuple(masks)

    def frame(self, rgb: Tensor, carry: int | None) -> tuple[Tensor, int]:
        """Raises InputError if the frame has no mask, or if its mask has another shape or unknown values."""
        number = carry or 0
        if len(self.masks) > 1 and number >= len(self.masks):
            raise InputError(f"{self.source} has masks for {len(self.masks)} frames; the input has more.")
        mask = self.masks[number if len(self.masks) > 1 else 0]()
        height, width = mask.shape[-2:]
        if abs(width / height - rgb.shape[3] / rgb.shape[2]) > 0.02:
            raise InputError(
                f"The mask for frame {number} in {self.source} is {width}x{height}, the frame "
                f"{rgb.shape[3]}x{rgb.shape[2]}: another shape."
            )
        return self._probabilities(mask, number, rgb), number + 1

    def skip(self, carry: int | None) -> int:
        """Skip the mask of the frame as well."""
        return (carry or 0) + 1

    def after_cut(self, carry: int | None) -> int | None:
        """Frames are counted on across scene cuts."""
        return carry

    def notes(self, carry: int | None) -> list[str]:
        """Return a warning if there are more masks than frames."""
        left = len(self.masks) - (carry or 0)
        return (
            [f"{self.source} has masks for {left} more frames than the input has."]
            if carry and left > 0 < len(self.masks) - 1
            else []
        )

    def _probabilities(self, mask: np.ndarray, number: int, rgb: Tensor) -> Tensor:
        if mask.ndim == 2:
            wrong = mask[(mask >= len(self.regions)) & (mask != IGNORE)]
            if wrong.size:
                raise InputError(
                    f"The mask for frame {number} in {self.source} holds the value {wrong[0]}, but there are "
                    f"{len(self.regions)} classes; name them with --mask-classes."
                )
            index = torch.from_numpy(np.where(mask == IGNORE, 0, mask).astype(np.int64))
            found = F.one_hot(index, len(self.regions)).permute(2, 0, 1)[None].float()
        else:
            found = torch.from_numpy(mask)[None]
        size = (rgb.shape[2], rgb.shape[3])
        if found.shape[2:] != size:  # one size for all, and no corner of the frame without its mask
            found = F.interpolate(found, size, mode="bilinear", align_corners=False)
        return found.to(rgb)


def _with_rest(objects: np.ndarray) -> np.ndarray:
    """Soft masks of objects [N,h,w] in [0,1] -> probabilities [1+N,h,w], the background first."""
    total = np.maximum(objects.sum(0, keepdims=True), 1)
    objects = objects / total
    return np.concatenate((1 - objects.sum(0, keepdims=True), objects)).astype(np.float32)


def _two(name: str = OBJECT) -> tuple[Region, ...]:
    return Region(0, "background", ("other",)), Region(1, name)


def open_masks(path: Path, names: Sequence[str] | None = None, stems: Sequence[str] = ()) -> FileSegmenter:
    """Look at what there is and read it frame by frame.

    names  of the values in label maps, in order; else those of ``classes.json`` beside them; else one ``object``
    stems  of the input's frames, where these are files: masks of the same names belong to them

    Raises InputError.
    """
    if path.is_dir():
        return _folder(path, names, stems)
    if not path.is_file():
        raise InputError(f"The masks {path} do not exist.")
    if path.suffix.lower() == ".json":
        return _coco(path, stems)
    from segnst.video.probe import probe

    if probe(path).kind == "image":
        regions, loads = _pictures([path], names, path.parent / CLASSES_FILE)
        return FileSegmenter(path, regions, loads)
    return _video(path, names)


def _folder(path: Path, names: Sequence[str] | None, stems: Sequence[str]) -> FileSegmenter:
    from segnst.video.images import apart_from_masks, frame_files

    inner = sorted(p for p in path.iterdir() if p.is_dir() and any(p.glob("*.png")))
    if not inner or any(path.glob("*.png")):
        files = frame_files(path)
        _, beside_frames = apart_from_masks(files)
        files = _ordered(list(beside_frames.values()) or files, stems, path)
        regions, loads = _pictures(files, names, path / CLASSES_FILE)
        return FileSegmenter(path, regions, loads)
    # one folder a class, soft masks in each
    things = [p for p in inner if p.name != "background"]
    columns = [_ordered(frame_files(p), stems, p) for p in things]
    if len({len(c) for c in columns}) > 1:
        counts = ", ".join(f"{p.name} {len(c)}" for p, c in zip(things, columns, strict=True))
        raise InputError(f"The folders in {path} hold different numbers of masks: {counts}.")
    regions = (Region(0, "background"), *(Region(k + 1, p.name.lower()) for k, p in enumerate(things)))
    rows = list(zip(*columns, strict=True))
    return FileSegmenter(path, regions, [partial(_soft_row, row) for row in rows])


def _ordered(files: Sequence[Path], stems: Sequence[str], folder: Path) -> list[Path]:
    by_stem = {f.stem.removesuffix("_mask"): f for f in files}
    if stems and len(files) > 1:
        missing = [s for s in stems if s not in by_stem]
        if len(missing) < len(stems):  # named as the frames are
            if missing:
                raise InputError(f"{folder} has no mask for the frame {missing[0]}.")
            return [by_stem[s] for s in stems]
    return list(files)


def _soft(file: Path) -> np.ndarray:
    """A gray picture of 8 or 16 bits -> float32 [h,w] in [0,1]."""
    from segnst.video import images

    return np.ascontiguousarray(images.load(file).planes()[:3].max(0))


def _soft_row(files: Sequence[Path]) -> np.ndarray:
    return _with_rest(np.stack([_soft(f) for f in files]))


def _pictures(
    files: Sequence[Path], names: Sequence[str] | None, classes: Path
) -> tuple[tuple[Region, ...], list[Load]]:
    """Label maps or soft masks of one object; the first picture says which."""
    if names is None and classes.is_file():
        names = read_classes(classes)
    indexed = _is_indexed(files[0])
    if names is None and not indexed:
        return _two(), [partial(_soft_row, (f,)) for f in files]
    regions = _two() if names is None else regions_from_names(names)
    return regions, [partial(_labels, f, len(regions)) for f in files]


def _is_indexed(file: Path) -> bool:
    """Whether a picture holds indices: a palette, or gray values so small that they can be nothing else."""
    try:
        values = np.unique(read_png(file))
    except SegnstError:
        return False
    return bool(values.max() < 64) or shows_one_object(values)


def _labels(file: Path, count: int) -> np.ndarray:
    labels = read_png(file)
    if count == 2 and not ((labels > 1) & (labels < IGNORE)).any() and (labels != 1).all():
        labels = one_object(labels)
    return labels


def read_classes(path: Path) -> list[str]:
    """Names in order of their values, from the ``classes.json`` that `segnst segment` writes. Raises InputError."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["classes"]
        found = {int(e["index"]): str(e["name"]) for e in entries}
        return [found[k] for k in range(len(found))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not name classes ({type(error).__name__}: {error}).") from error


def _video(path: Path, names: Sequence[str] | None) -> FileSegmenter:
    """A mask video: brightness says how far a pixel belongs to the object. Kept compressed in memory."""
    from segnst.video.read import open_reader

    kept: list[np.ndarray] = []
    with open_reader(path) as reader:
        for clip in reader:
            kept.append(cv2.imencode(".png", to_bytes(clip.rgb[0].amax(0)))[1])

    def unpack(data: np.ndarray) -> np.ndarray:
        gray = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.float32) / 255
        return _with_rest(gray[None])

    name = names[-1] if names else OBJECT
    return FileSegmenter(path, _two(name), [partial(unpack, data) for data in kept])


def _coco(path: Path, stems: Sequence[str]) -> FileSegmenter:
    """A COCO file: its categories are the regions, its images the frames, by their ids or by the frames' names."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        categories = {int(c["id"]): str(c["name"]).strip().lower() for c in content["categories"]}
        pictures = sorted(content["images"], key=lambda i: int(i["id"]))
        by_stem = {Path(str(i["file_name"])).stem: i for i in pictures}
        if stems and all(s in by_stem for s in stems):
            pictures = [by_stem[s] for s in stems]
        by_image: dict[int, list[dict[str, Any]]] = {int(i["id"]): [] for i in pictures}
        for annotation in content["annotations"]:
            by_image.setdefault(int(annotation["image_id"]), []).append(annotation)
        sizes = {int(i["id"]): (int(i["height"]), int(i["width"])) for i in pictures}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a COCO annotation file ({type(error).__name__}: {error}).") from error
    if not pictures:
        raise InputError(f"{path} names no image.")
    names = list(dict.fromkeys(n for n in categories.values() if n != "background"))
    regions = (Region(0, "background", ("other",)), *(Region(k + 1, n) for k, n in enumerate(names)))
    index = {number: names.index(n) + 1 for number, n in categories.items() if n in names}
    return FileSegmenter(
        path,
        regions,
        [partial(coco.paint, by_image[i], index, sizes[i], path) for i in (int(p["id"]) for p in pictures)],
    )


def load(name: str, *, device: torch.device, offline: bool = False) -> FileSegmenter:
    """Registry entry ``files:PATH``."""
    return open_masks(Path(name.partition(":")[2]))
