"""Masks from files, as a segmenter: a folder of PNGs, a mask video, one still, or a COCO file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import InputError, SegnstError
from segnst.masks.classes import regions_from_names
from segnst.masks.indexed_png import is_transparent, read_png
from segnst.masks.label_map import IGNORE, PARTIAL, fits, one_object, shows_one_object
from segnst.pixels import to_bytes
from segnst.segmentation.alignment import Mask, Run, align, align_by_time, numbers
from segnst.segmentation.base import Segmenter
from segnst.segmentation.objects.selection import OBJECT
from segnst.types import Region
from segnst.untrusted import (
    MAX_JSON_BYTES,
    check_regular,
    exists,
    is_folder,
    parse_json,
    read_bytes,
    rows,
    short,
    table,
    whole,
)

CLASSES_FILE = "classes.json"
Load = Callable[[], np.ndarray]  # label map uint8 [h,w], or probabilities float32 [K,h,w]


class Progress(NamedTuple):
    """The carry: how many frames there were, how many were looked at, and whether a mask selected a pixel of any."""

    frames: int = 0
    looked: int = 0
    selected: bool = False


class FileSegmenter(Segmenter[Progress]):
    """A segmenter that reads its masks.

    masks  one a frame of the run (None where a frame has none), or a single one for all of them
    first  number of the run's first frame in its input, for messages
    """

    def __init__(self, path: Path, regions: Sequence[Region], masks: Sequence[Load | None], first: int = 0) -> None:
        super().__init__("files", regions)
        self.source, self.masks, self.first = path, tuple(masks), first
        if len(self.regions) > PARTIAL:
            raise InputError(f"{path} has masks of {len(self.regions)} classes; {PARTIAL} are the most.")

    def frame(self, rgb: Tensor, carry: Progress | None) -> tuple[Tensor, Progress]:
        """Raises InputError: there is no mask for a frame, or one of another shape or with unknown values."""
        number, looked, selected = carry or Progress()
        probabilities = self._probabilities(self._mask(number, rgb), number, rgb)
        selected = selected or bool((probabilities[:, 1:] > 0.5).any())
        return probabilities, Progress(number + 1, looked + 1, selected)

    def skip(self, carry: Progress | None) -> Progress:
        """The mask of a frame that is not looked at is passed over."""
        frames, looked, selected = carry or Progress()
        return Progress(frames + 1, looked, selected)

    def after_cut(self, carry: Progress | None) -> Progress | None:
        """The count of frames goes on."""
        return carry

    def notes(self, carry: Progress | None) -> list[str]:
        """A warning where masks are left over, or none of them selects anything."""
        frames, looked, selected = carry or Progress()
        left = len(self.masks) - frames
        found = []
        if frames and left > 0 < len(self.masks) - 1:
            found.append(f"{self.source} has masks for {left} more frames than the input has.")
        if looked and not selected:
            found.append(f"The masks in {self.source} select nothing: all of their pixels are background.")
        return found

    def _mask(self, number: int, rgb: Tensor) -> np.ndarray:
        if len(self.masks) > 1 and number >= len(self.masks):
            raise InputError(f"{self.source} has masks for {len(self.masks)} frames; the input has more.")
        load = self.masks[number if len(self.masks) > 1 else 0]
        if load is None:
            raise InputError(f"{self.source} has no mask for frame {self.first + number}.")
        mask = load()
        if not fits((mask.shape[-2], mask.shape[-1]), (rgb.shape[2], rgb.shape[3])):
            raise InputError(
                f"The mask for frame {self.first + number} in {self.source} is {mask.shape[-1]}x{mask.shape[-2]}, the "
                f"frame {rgb.shape[3]}x{rgb.shape[2]}: another shape."
            )
        return mask

    def _probabilities(self, mask: np.ndarray, number: int, rgb: Tensor) -> Tensor:
        size = (rgb.shape[2], rgb.shape[3])
        # of a mask that is many times as large as the frame, some pixels say enough: all of them are gigabytes
        step = min(mask.shape[-2] // (4 * size[0]), mask.shape[-1] // (4 * size[1]))
        if step > 1:
            mask = mask[..., step // 2 :: step, step // 2 :: step]
        if mask.ndim == 2:
            wrong = mask[(mask >= len(self.regions)) & (mask != IGNORE)]
            if wrong.size:
                raise InputError(
                    f"The mask for frame {self.first + number} in {self.source} holds the value {wrong[0]}, but there "
                    f"are {len(self.regions)} classes; name them with --mask-classes."
                )
            mask = np.where(mask == IGNORE, 0, mask)
            found = torch.zeros(1, len(self.regions), *size)
            for value in np.unique(mask).tolist():  # most of many classes are nowhere
                found[0, value] = _resized(mask == value, size)
        else:
            found = _resized(mask, size)[None]
        return found.to(rgb)


def _resized(mask: np.ndarray, size: tuple[int, int]) -> Tensor:
    """[h,w] or [K,h,w] -> float32 of the frame's size: one size for all, no corner of a frame without its mask."""
    found = torch.from_numpy(np.ascontiguousarray(mask)).float()
    if found.shape[-2:] == size:
        return found
    layers = found.reshape(1, -1, *found.shape[-2:])
    return F.interpolate(layers, size, mode="bilinear", align_corners=False).reshape(*found.shape[:-2], *size)


def _with_rest(objects: np.ndarray) -> np.ndarray:
    """Soft masks of objects [N,h,w] in [0,1] -> probabilities [1+N,h,w], the background first."""
    total = np.maximum(objects.sum(0, keepdims=True), 1)
    objects = objects / total
    return np.concatenate((1 - objects.sum(0, keepdims=True), objects)).astype(np.float32)


def _two(name: str = OBJECT) -> tuple[Region, ...]:
    return Region(0, "background", ("other",)), Region(1, name)


def open_masks(path: Path, names: Sequence[str] | None = None, run: Run = Run()) -> FileSegmenter:  # noqa: B008 - frozen
    """Look at what there is and read it frame by frame.

    names  of the values in label maps, in order; else those of ``classes.json`` beside them; else one ``object``
    run    the part of the input that the masks are for (``segnst.segmentation.alignment``)

    Raises InputError.
    """
    if is_folder(path):
        return _folder(path, names, run)
    if not exists(path):
        raise InputError(f"The masks {short(str(path))} do not exist.")
    check_regular(path, "mask file")
    from segnst.segmentation.annotated import ANNOTATIONS, annotated_file

    if path.suffix.lower() in ANNOTATIONS:
        return annotated_file(path, names, run)
    from segnst.video.probe import probe

    if probe(path).kind == "image":
        regions, loads = _pictures([path], names, path.parent / CLASSES_FILE)
        return FileSegmenter(path, regions, loads)
    return _video(path, names, run)


def _folder(path: Path, names: Sequence[str] | None, run: Run) -> FileSegmenter:
    from segnst.segmentation.annotated import annotated_folder
    from segnst.video.images import apart_from_masks, frame_files

    annotated = annotated_folder(path, names, run)
    if annotated is not None:
        return annotated
    inner = sorted(p for p in path.iterdir() if p.is_dir() and any(p.glob("*.png")))
    if not inner or any(path.glob("*.png")):
        files = frame_files(path)
        _, beside_frames = apart_from_masks(files)
        files = list(beside_frames.values()) or files
        regions, loads = _pictures(files, names, path / CLASSES_FILE)
        return FileSegmenter(path, regions, of_run(files, loads, run, path), run.first)
    # one folder a class, soft masks in each
    things = [p for p in inner if p.name != "background"]
    columns = [of_run(files, files, run, p) for p in things for files in [frame_files(p)]]
    if len({len(c) for c in columns}) > 1:
        counts = ", ".join(f"{p.name} {len(c)}" for p, c in zip(things, columns, strict=True))
        raise InputError(f"The folders in {path} hold different numbers of masks: {counts}.")
    regions = (Region(0, "background"), *(Region(k + 1, p.name.lower()) for k, p in enumerate(things)))
    rows = [partial(_soft_row, row) if None not in row else None for row in zip(*columns, strict=True)]
    return FileSegmenter(path, regions, rows, run.first)


def of_run(files: Sequence[Path], masks: Sequence[Mask], run: Run, folder: Path) -> list[Mask | None]:
    """Masks by the names of the frames that they belong to; else by their own numbers, or in order."""
    by_stem = {f.stem.removesuffix("_mask"): mask for f, mask in zip(files, masks, strict=True)}
    if run.stems and len(files) > 1 and any(s in by_stem for s in run.stems):
        last = len(run.stems) if run.count is None else run.first + run.count
        missing = next((s for s in run.stems[run.first : last] if s not in by_stem), None)
        if missing is not None:
            raise InputError(f"{folder} has no mask for the frame {missing}.")
        return [by_stem.get(s) for s in run.stems[run.first : last]]
    return align(masks, run, numbers(files))


def _soft(file: Path) -> np.ndarray:
    """A picture of 8 or 16 bits -> float32 [h,w] in [0,1]: its alpha where it has some, as cut-outs do, else how bright
    it is."""
    from segnst.video import images

    planes = images.load(file).planes()
    if len(planes) == 4 and planes[3].min() < 1:
        return np.ascontiguousarray(planes[3])
    return np.ascontiguousarray(planes[:3].max(0))


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
    return regions, [partial(_labels, f, one=names is None) for f in files]


def _is_indexed(file: Path) -> bool:
    """Whether a picture holds indices: a palette, or gray values so small that they can be nothing else. A palette with
    transparent colors is a cut-out."""
    try:
        if is_transparent(file):
            return False
        values = np.unique(read_png(file))
    except SegnstError:
        return False
    return bool(values.max() < 64) or shows_one_object(values)


def _labels(file: Path, *, one: bool) -> np.ndarray:
    labels = read_png(file)
    if shows_one_object(labels):
        return one_object(labels)
    values = np.unique(labels[labels > 0])
    # without names there is one object, whatever the value is that marks it
    return one_object(labels) if one and len(values) == 1 else labels


def read_classes(path: Path) -> list[str]:
    """Names in order of their values, from the ``classes.json`` that `segnst segment` writes. Raises InputError."""
    data = read_bytes(path, MAX_JSON_BYTES, "list of classes")
    try:
        entries = rows(table(parse_json(data), "the file").get("classes"), "classes", PARTIAL)
        found = {whole(e.get("index"), "an index"): str(e.get("name")) for e in entries}
        if sorted(found) != list(range(len(found))) or not found:
            raise ValueError("the indices should run from 0 on without a gap")
    except ValueError as error:
        raise InputError(f"{path} does not name classes ({error}).") from error
    return [found[k] for k in range(len(found))]


def _video(path: Path, names: Sequence[str] | None, run: Run) -> FileSegmenter:
    """A mask video: brightness says how far a pixel belongs to the object. Kept compressed in memory."""
    from segnst.video.read import open_reader

    kept: list[np.ndarray] = []
    times: list[Fraction] = []
    with open_reader(path) as reader:
        for clip in reader:
            kept.append(cv2.imencode(".png", to_bytes(clip.rgb[0].amax(0)))[1])
            times.append(clip.pts[0] * clip.time_base)

    def unpack(data: np.ndarray) -> np.ndarray:
        gray = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.float32) / 255
        return _with_rest(gray[None])

    name = names[-1] if names else OBJECT
    loads = align_by_time([partial(unpack, data) for data in kept], times, run)
    return FileSegmenter(path, _two(name), loads, run.first)


def load(name: str, *, device: torch.device, offline: bool = False) -> FileSegmenter:
    """Registry entry ``files:PATH``."""
    return open_masks(Path(name.partition(":")[2]))
