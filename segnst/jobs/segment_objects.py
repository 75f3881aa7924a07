"""Finds the objects of a video, a still or a folder of photos: label maps with one value per object, and a list."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segnst.assembly import memory_advice
from segnst.device import choose_device
from segnst.errors import InputError
from segnst.jobs.events import Context
from segnst.jobs.mask_files import Segmented
from segnst.jobs.segment import SegmentReport, Written, list_classes, masks_to_folder
from segnst.jobs.segment_settings import DetectSettings
from segnst.masks.label_map import label_map
from segnst.segmentation.from_settings import load_objects
from segnst.segmentation.objects.instances import InstanceSegmenter, compose
from segnst.types import Clip
from segnst.video.read import Reader, open_reader

LIST = "objects.json"
MOST = 253  # largest number of objects that a label map can hold


def detect_file(
    input: str | Path,
    output: str | Path,
    settings: DetectSettings,
    *,
    overwrite: bool = False,
    context: Context | None = None,
) -> SegmentReport:
    """Cut out every object of some classes, and write label maps with one value per object into a folder.

    Raises UsageError, PlanError, InputError, OutputError, WeightsError, ResourceError, Cancelled; in each case,
    nothing is left behind.
    """
    context = context or Context()
    path, folder = Path(input), Path(output)
    device = choose_device(settings.device)
    with ExitStack() as opened, memory_advice("this size"):
        with context.loading() as said:
            segmenter = load_objects(
                settings.names,
                selector=settings.selector,
                detector=settings.detector,
                device=device,
                offline=settings.offline,
            )
        reader = None
        if not path.is_dir():  # the photos of a folder are segmented independently
            context.stage("open the input")
            reader = open_reader(
                path,
                start=settings.start,
                end=settings.end,
                max_size=settings.max_size,
                deinterlace=settings.deinterlace,
            )
            opened.enter_context(reader)
        written = objects_to_folder(path, folder, segmenter, reader=reader, overwrite=overwrite, context=context)
    warnings = [*said, *written.warnings]
    for warning in warnings:
        context.warn(warning)
    return SegmentReport(folder, written.frames, list_classes(segmenter.regions), warnings)


def objects_to_folder(
    input: Path,
    output: Path,
    segmenter: InstanceSegmenter,
    *,
    reader: Reader | None = None,
    overwrite: bool = False,
    context: Context | None = None,
) -> Written:
    """Write one indexed PNG per frame or photo, whose pixel values are object numbers, and a list ``objects.json``.

    An object keeps its number throughout a video. For each PNG, the list contains the value, class, score in [0,1] and
    box (x, y, width, height in pixels) of each object.

    Raises the errors of ``segment_to_folder``, and InputError when a clip shows more than 253 objects.
    """
    listed: dict[str, list[dict[str, Any]]] = {}

    def look(name: str, clip: Clip, carry: Any) -> tuple[Segmented, Any]:
        rgb = clip.rgb
        found, numbers, carry = segmenter.objects(rgb, carry)
        if numbers and max(numbers) >= MOST:
            raise InputError(f"{input} shows more than {MOST} objects; name fewer classes, or a part of the clip.")
        size = (rgb.shape[2], rgb.shape[3])
        # The objects of this frame are drawn in consecutive channels and numbered afterwards. The numbers grow through
        # a clip, and a channel for each number would take too much memory.
        slots = label_map(compose(found, range(1, len(numbers) + 1), len(numbers) + 1)[None], size)[0]
        values = torch.tensor([0, *(n + 1 for n in numbers)], dtype=torch.uint8, device=slots.device)
        listed[name] = [
            {
                "value": number + 1,
                "name": segmenter.finder.classes[found.classes[k]].name,
                "score": round(found.scores[k], 3),
                "box": _box(slots == k + 1),
            }
            for number, k in sorted((number, k) for k, number in enumerate(numbers))
        ]
        labels = values[slots.long()].cpu().numpy()
        return Segmented(name, clip, labels, found.masks[None]), carry

    def finish(folder: Path) -> None:
        (folder / LIST).write_text(json.dumps(listed, indent=1) + "\n")

    report = masks_to_folder(
        input, output, look, segmenter, reader=reader, overwrite=overwrite, context=context, finish=finish
    )
    if not any(listed.values()):
        names = " and no ".join(r.name for r in segmenter.finder.classes[1:])
        report.warnings.append(f"No {names} was found in {input}.")
    return report


def _box(mask: Tensor) -> list[int]:
    """x, y, width, height of a mask [H,W]; zeros if it is empty (hidden behind objects with higher scores)."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    if not len(rows):
        return [0, 0, 0, 0]
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]
