"""Builds the segmenter of a run from its settings: by name, by what the user points at, or from mask files.

Frames that the user corrected by hand (``--masks-override``) are added here as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst import registry
from segnst.config import Settings
from segnst.errors import PlanError, SegnstWarning, UsageError
from segnst.pixels import to_bytes
from segnst.segmentation.alignment import Run
from segnst.segmentation.base import FOREGROUND, AnySegmenter, Selector, resolve
from segnst.segmentation.networks.deeplab import ARCHITECTURE, load_bundled
from segnst.segmentation.objects.answer import questions
from segnst.segmentation.objects.instances import InstanceSegmenter
from segnst.segmentation.objects.selection import At, Selection, is_selection, parse_selections
from segnst.segmentation.objects.tracker import AnyTracker, Mark, follow_back, working_size
from segnst.segmentation.objects.tracking import TrackingSegmenter
from segnst.segmentation.wrappers.combined import CombinedSegmenter
from segnst.segmentation.wrappers.override import FIRST, REACH, OverrideSegmenter, read_overrides, spread
from segnst.video.read import Reader
from segnst.weights import read_metadata

ONE_LOOK = "deeplab:513"  # the bundled segmenter at a single scale, which takes a fifth of the time of two scales


def load_segmenter(name: str, device: torch.device, *, offline: bool = False) -> AnySegmenter:
    """Load a segmenter by its registered name (``NAME`` or ``NAME:ARGUMENT``), or a fine-tuned checkpoint by its path.

    Raises UsageError, WeightsError.
    """
    base = name.partition(":")[0]
    if name in registry.SELECTORS or base in registry.TRACKERS:
        raise UsageError(f"'{name}' cuts out an object that you point at: add --box x,y,w,h or --point x,y.")
    if base not in registry.SEGMENTERS and (Path(name).suffix or "/" in name):
        kind = read_metadata(Path(name)).get("architecture", "")
        # A file of an unknown architecture goes to the default loader, whose error says what is wrong with it.
        loader = registry.get(registry.SEGMENTER_FILES, kind if kind in registry.SEGMENTER_FILES else ARCHITECTURE, "")
        return cast(AnySegmenter, loader(name, device=device, offline=offline, weights=Path(name)))
    loader = registry.get(registry.SEGMENTERS, base, "segmenter")
    return cast(AnySegmenter, loader(name, device=device, offline=offline))


def load_objects(
    names: Sequence[str], *, selector: str, detector: str | None, device: torch.device, offline: bool = False
) -> InstanceSegmenter:
    """Build the segmenter that finds the objects called ``names`` and cuts each of them out.

    It consists of a detector and a selector (:mod:`segnst.segmentation.objects.detect`).

    Raises UsageError, PlanError, WeightsError.
    """
    from segnst.segmentation.objects.detect import load

    wanted = [name.strip() for name in names if name.strip()]
    if not wanted:
        raise UsageError("--detect needs names of objects, separated by commas. Example: --detect person,dog")
    return InstanceSegmenter(load(wanted, detector=detector, selector=selector, device=device, offline=offline))


def segmenter_for(
    settings: Settings, device: torch.device, reader: Reader | None = None, regions: Sequence[str] = ()
) -> AnySegmenter:
    """Build the segmenter that the settings ask for.

    reader   the input. Selections and corrected frames read some of its frames before the run
    regions  region names of the plan. If something is pointed at and the plan names other regions too, a segmenter of
             classes is added for these

    Raises UsageError, InputError, WeightsError, PlanError.
    """
    if settings.masks is not None and is_selection(settings):
        raise UsageError("--masks and --box, --point or --foreground both say where the object is; leave one out.")
    if (settings.not_point or settings.background or settings.at) and not is_selection(settings):
        raise UsageError("--not-point, --background and --at only refine a selection: add --box or --point.")
    overrides: dict[int, np.ndarray] = {}
    if settings.masks_override is not None:
        source = _needed(reader)
        overrides = read_overrides(Path(settings.masks_override), (source.height, source.width), Run.of(source))
    if is_selection(settings):
        segmenter: AnySegmenter = _tracking(settings, device, _needed(reader), overrides)
    elif settings.masks is not None:
        from segnst.segmentation.files import open_masks

        run = Run.of(reader) if reader is not None else Run()
        names = [n.strip().lower() for n in settings.mask_classes.split(",")] if settings.mask_classes else None
        segmenter = open_masks(Path(settings.masks), names, run)
        _explain_names(regions, segmenter, settings)
    else:
        segmenter = _of_classes(settings.segmenter, settings, device)
    if overrides:
        wanted = {n + k for n in overrides for k in range(-REACH, REACH + 1)}
        flow = registry.get(registry.FLOWS, "dis", "optical flow")(device=device, offline=settings.offline)
        hints = spread(overrides, _some(_needed(reader), wanted), flow)
        segmenter = OverrideSegmenter(segmenter, overrides, hints)
    if is_selection(settings) and not set(regions) <= {*(r.name for r in segmenter.regions), FOREGROUND}:
        points = settings.segmenter in registry.SELECTORS or settings.segmenter.partition(":")[0] in registry.TRACKERS
        name = "deeplab" if points else settings.segmenter
        segmenter = CombinedSegmenter(segmenter, _of_classes(name, settings, device), regions)
    return segmenter


def _explain_names(names: Sequence[str], segmenter: AnySegmenter, settings: Settings) -> None:
    """Raise PlanError for a region that masks from files do not have, and say where their names come from."""
    for name in names:
        try:
            resolve(name, segmenter.regions)
        except PlanError as error:
            if settings.mask_classes is not None:
                raise
            values = ",".join(r.name for r in segmenter.regions[:-1])
            raise PlanError(
                f"{error} The names of masks from files come from the files themselves; --mask-classes names the "
                f"values 0, 1, … of label maps, for example --mask-classes {values},{name.strip().lower()}."
            ) from error


def _of_classes(name: str, settings: Settings, device: torch.device) -> AnySegmenter:
    quick = settings.fast and name == "deeplab"
    return load_segmenter(ONE_LOOK if quick else name, device, offline=settings.offline)


def _needed(reader: Reader | None) -> Reader:
    if reader is None:
        raise UsageError("Selections and --masks-override need the opened input: call build(settings, reader).")
    return reader


def _tracking(settings: Settings, device: torch.device, reader: Reader, overrides: dict[int, np.ndarray]) -> AnyTracker:
    size = (reader.height, reader.width)
    selections = parse_selections(settings, size, reader.width / reader.info.width)
    empty = _tracker(settings, device)
    frames: dict[int, Tensor] = {}
    if any(s.at.frame != 0 for s in selections):
        frames, numbers = _until(reader, [s.at for s in selections])
        marks = _marks(selections, numbers)
    else:
        marks = _marks(selections, [0] * len(selections))
    _doubt(empty, marks, frames, settings, device, reader)
    segmenter = empty.with_marks(marks)
    # A frame that was corrected by hand also corrects the tracker from that frame on.
    for frame, labels in overrides.items():
        for k, each in enumerate(segmenter.names):
            mine = (labels == k + 1) | (k == 0) & (labels == FIRST)
            mask = torch.from_numpy(mine.astype(np.float32))[None, None]
            marks = [m for m in marks if (m.name, m.frame) != (each, frame)] + [Mark(each, frame, mask=mask)]
    segmenter = empty.with_marks(marks)
    if frames:
        last = max(frames)
        segmenter.before.update(follow_back(segmenter, [frames[k] for k in range(last + 1)]))
    return segmenter


def _doubt(
    tracker: AnyTracker,
    marks: Sequence[Mark],
    frames: Mapping[int, Tensor],
    settings: Settings,
    device: torch.device,
    reader: Reader,
) -> None:
    """Warn of clicks that select almost nothing or nearly all."""
    if not (settings.point or settings.foreground):
        return
    if not frames:  # everything was selected on the first one
        first = next(iter(reader), None)
        frames = {} if first is None else {0: first.rgb}
    guide = load_bundled("deeplab", device=device, offline=settings.offline)
    for text in questions(tracker, marks, frames, guide, reader.width / reader.info.width):
        warnings.warn(text, SegnstWarning, stacklevel=2)


def _tracker(settings: Settings, device: torch.device) -> AnyTracker:
    """The tracker, to which no object has been given yet."""
    name, offline = settings.segmenter, settings.offline
    if name.partition(":")[0] in registry.TRACKERS:
        load = registry.get(registry.TRACKERS, name.partition(":")[0], "tracker")
        tracker = cast(AnyTracker | None, load(name, device=device, offline=offline))
        if tracker is not None:
            return tracker
    name = name if name in registry.SELECTORS else "grabcut"
    load = registry.get(registry.SELECTORS, name, "selector")
    selector = cast(Selector, load(name, device=device, offline=offline))
    guide = load_bundled("deeplab", device=device, offline=offline)
    flow = registry.get(registry.FLOWS, "dis", "optical flow")(device=device, offline=offline)
    return TrackingSegmenter((), selector, guide, flow)


def _marks(selections: Sequence[Selection], numbers: Sequence[int]) -> list[Mark]:
    return [
        Mark(s.name, number, (s.prompt,) if s.prompt is not None else ())
        for s, number in zip(selections, numbers, strict=True)
    ]


def _until(reader: Reader, places: Sequence[At]) -> tuple[dict[int, Tensor], list[int]]:
    """Read the frames up to the last of ``places`` -> (frames, frame number of each place).

    The frames of the places keep their full size; the others are reduced to the size at which objects are followed.
    Raises UsageError for a place beyond the end.
    """
    numbers: list[int | None] = [None] * len(places)
    frames: dict[int, Tensor] = {}
    info = reader.info
    count = 0
    for count, clip in enumerate(reader, 1):
        number = count - 1
        time = float(clip.pts[0] * info.time_base - info.origin)
        late = False
        for k, place in enumerate(places):
            hit = number == place.frame or (place.seconds is not None and time >= place.seconds - 1e-6)
            if numbers[k] is None and hit:
                numbers[k], late = number, True
        frames[number] = _packed(clip.rgb, whole=late)
        if all(n is not None for n in numbers):
            break
    missing = [p for p, n in zip(places, numbers, strict=True) if n is None]
    if missing:
        where = f"frame {missing[0].frame}" if missing[0].frame is not None else f"{missing[0].seconds:g} s"
        raise UsageError(f"There is nothing to select at {where}: {info.path} has {count} frames.")
    return frames, [n for n in numbers if n is not None]


def _packed(rgb: Tensor, *, whole: bool) -> Tensor:
    """[1,3,H,W] float -> uint8, which takes a quarter of the memory; reduced in size unless ``whole``."""
    frame = to_bytes(rgb[0])
    if not whole:
        frame = cv2.resize(frame, working_size(*frame.shape[:2])[::-1], interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]


def _some(reader: Reader, wanted: Iterable[int]) -> Iterator[tuple[int, Tensor]]:
    """Yield (number, reduced frame [1,3,h,w] in [0,1]) for the wanted frames, in order."""
    numbers = {n for n in wanted if n >= 0}
    for number, clip in enumerate(reader):
        if number in numbers:
            yield number, _packed(clip.rgb, whole=False).float() / 255
        if number >= max(numbers):
            break
