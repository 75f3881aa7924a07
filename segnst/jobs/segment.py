"""Segments a video, a still or a folder of photos into a folder of masks: the job of ``segnst segment``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segnst.assembly import memory_advice
from segnst.bench.agreement import Agreement, AnyAgreement
from segnst.device import choose_device
from segnst.engines.base import choose as choose_engine
from segnst.errors import InputError, OutputError, UsageError, did_you_mean
from segnst.jobs.events import Context, JobReport
from segnst.jobs.mask_files import FORMATS, Segmented, overlay
from segnst.jobs.mask_folder import check_mask_folder, fill
from segnst.jobs.outputs import folder_for, given_files, open_input
from segnst.jobs.segment_settings import SegmentSettings
from segnst.masks.label_map import label_map
from segnst.segmentation.alignment import Run
from segnst.segmentation.base import AnySegmenter, SegmenterCarry
from segnst.segmentation.from_settings import load_segmenter, segmenter_for
from segnst.segmentation.objects.selection import is_selection
from segnst.stabilize.cuts import is_cut
from segnst.temporaries import temporary_folder
from segnst.types import Clip, Region
from segnst.video.read import Reader, open_reader

Cut = Callable[[Tensor, Any], tuple[bool, Any]]
# (name, frame, carry) -> (its masks, carry)
Look = Callable[[str, Clip, Any], tuple[Segmented, Any]]


@dataclass
class SegmentReport(JobReport):
    """What was segmented.

    classes     ``{"index", "name"}`` of each region
    area        {name of the region: percent of the frame that it covers, one value per frame}
    confidence  {name of the region: one value per frame} for objects that are followed, or None if there are none
    agreement   agreement with the segmenter of ``check``, or None; ``table`` has it as Markdown and is not in the JSON
    """

    output: Path
    frames: int = 0
    classes: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    area: dict[str, list[float]] = field(default_factory=dict)
    confidence: dict[str, list[float]] | None = None
    agreement: dict[str, Any] | None = None
    table: str = ""

    def as_dict(self) -> dict[str, Any]:
        missing = {name for name in ("confidence", "agreement") if getattr(self, name) is None}
        return {name: value for name, value in super().as_dict().items() if name not in {"table", *missing}}


@dataclass
class Written:
    """The number of frames whose masks were written, the segmenter's last carry, and warnings for the user.

    areas  for each frame the share of each region in it, by the region's index
    """

    frames: int = 0
    areas: list[np.ndarray] = field(default_factory=list)
    carry: SegmenterCarry = None
    warnings: list[str] = field(default_factory=list)


def list_classes(regions: Sequence[Region]) -> list[dict[str, Any]]:
    """Return the regions in the form in which reports list them."""
    return [{"index": r.index, "name": r.name} for r in regions]


def segment_file(
    input: str | Path,
    output: str | Path,
    settings: SegmentSettings,
    *,
    frames: bool = False,
    overwrite: bool = False,
    context: Context | None = None,
    loaded: AnySegmenter | None = None,
) -> SegmentReport:
    """Write the masks of a video, a still or a folder of photos into the folder ``output``.

    The photos of a folder are segmented independently, unless they are said to be ``frames`` of one film, or there are
    selections or masks from files; then they are read as a sequence.

    loaded  the segmenter that the settings name, if the caller has it already

    Raises UsageError, PlanError, InputError, OutputError, WeightsError, ResourceError, Cancelled; in each case,
    nothing is left behind.
    """
    context = context or Context()
    path, folder, source = Path(input), Path(output), settings.source
    device = choose_device(source.device)
    named = source.masks is not None or source.masks_override is not None
    agreement: AnyAgreement | None = None

    def finish(scratch: Path) -> None:
        if agreement is not None:
            agreement.write_sheet(scratch / "check.png")

    with ExitStack() as opened, memory_advice("this size"):
        reader = None
        if not path.is_dir() or named or frames or is_selection(source):
            context.stage("open the input")
            reader = open_input(path, source)
            opened.enter_context(reader)
        with context.loading() as said:
            segmenter = loaded or segmenter_for(source, device, reader)
            # photos of a folder have many sizes, for each of which a network would be compiled
            segmenter.use(choose_engine(source.engine, device, frames=reader.frames_expected if reader else 0))
            if settings.check is not None:
                agreement = Agreement(segmenter, load_segmenter(settings.check, device, offline=source.offline))
        written = segment_to_folder(
            path,
            folder,
            agreement or segmenter,
            formats=settings.formats,
            reader=reader,
            cut=is_cut,
            overwrite=overwrite,
            context=context,
            finish=finish,
            given=[Path(each) for each in given_files(source)],
        )
    warnings = [*said, *written.warnings]
    for warning in warnings:
        context.warn(warning)
    report = SegmentReport(folder, written.frames, list_classes(segmenter.regions), warnings)
    report.area = {r.name: [round(100 * float(a[r.index]), 3) for a in written.areas] for r in segmenter.regions}
    confidence = (agreement or segmenter).confidence(written.carry)
    if confidence:
        report.confidence = {name: [round(value, 3) for value in values] for name, values in confidence.items()}
    if agreement is not None:
        report.agreement, report.table = agreement.figures(), agreement.table()
    return report


def segment_to_folder(
    input: Path,
    output: Path,
    segmenter: AnySegmenter,
    *,
    formats: Sequence[str] = ("indexed",),
    reader: Reader | None = None,
    cut: Cut | None = None,
    overwrite: bool = False,
    context: Context | None = None,
    finish: Callable[[Path], None] = lambda folder: None,
    given: Sequence[Path] = (),
) -> Written:
    """Write the masks of all frames or photos into a folder.

    input    a video, a still, or a folder of photos of any sizes (of frames, with ``reader``)
    output   made if missing; the files appear in it together, when all are done
    formats  of ``segnst.jobs.mask_files.FORMATS``
    reader   of the input, where it is to be read as a sequence or was looked at before
    cut      says where a scene begins: (rgb, carry) -> (whether, carry)
    given    files and folders that the segmenter reads, which are not replaced even with ``overwrite``
    finish   may put more into the folder before it is complete
    Raises InputError (nothing to segment), OutputError (``output`` holds label maps, or cannot be written).
    """

    def look(name: str, clip: Clip, carry: Any) -> tuple[Segmented, Any]:
        probabilities, carry = segmenter(clip.rgb, carry)
        labels = label_map(probabilities, (clip.rgb.shape[2], clip.rgb.shape[3]))[0].cpu().numpy()
        return Segmented(name, clip, labels, probabilities, segmenter.colors(carry)), carry

    report = masks_to_folder(
        input, output, look, segmenter, formats=formats, reader=reader, cut=cut, overwrite=overwrite, context=context,
        finish=finish, given=given,
    )  # fmt: skip
    report.warnings += segmenter.notes(report.carry)
    return report


def masks_to_folder(
    input: Path,
    output: Path,
    look: Look,
    segmenter: AnySegmenter,
    *,
    formats: Sequence[str] = ("indexed",),
    reader: Reader | None = None,
    cut: Cut | None = None,
    overwrite: bool = False,
    context: Context | None = None,
    finish: Callable[[Path], None] = lambda folder: None,
    given: Sequence[Path] = (),
) -> Written:
    """The same as :func:`segment_to_folder`, except that ``look`` computes the masks of each frame."""
    context = context or Context()
    input, output = Path(input), Path(output)
    unknown = next((f for f in formats if f not in FORMATS), None)
    if unknown is not None:
        near = did_you_mean(unknown, FORMATS)
        raise UsageError(f"There is no format '{unknown}'.{near} Known: {', '.join(FORMATS)}.")
    check_mask_folder(input, output, overwrite, given)
    report = Written()
    sequence = reader is not None or not input.is_dir()
    with ExitStack() as opened:
        if sequence and reader is None:
            reader = opened.enter_context(open_reader(input))
        frames = _photos(input) if reader is None else _frames(input, reader)
        try:
            first = next(frames, None)  # so that an unusable input raises before anything is written
            if first is None:
                raise InputError(f"{input} holds nothing to segment.")
            opened.enter_context(folder_for(output))
            scratch = opened.enter_context(temporary_folder(output))
            carry = scene = None
            context.stage("frames")
            with ExitStack() as stack:
                exports = [FORMATS[f](scratch, segmenter.regions, reader, stack) for f in dict.fromkeys(formats)]
                frame: tuple[str, Clip, int | None] | None = first
                while frame is not None:
                    name, clip, expected = frame
                    if cut is not None and sequence:
                        begins, scene = cut(clip.rgb, scene)
                        carry = segmenter.after_cut(carry) if begins else carry
                    masks, carry = look(name, clip, carry if sequence else None)
                    for export in exports:
                        export.add(masks)
                    if context.shows:
                        context.thumbnail(report.frames, overlay(masks))
                    report.areas.append(np.bincount(masks.labels.ravel(), minlength=256) / masks.labels.size)
                    report.frames += 1
                    context.frames(report.frames, expected)
                    frame = next(frames, None)
                for export in exports:
                    export.finish()
            finish(scratch)
            existed = output.exists()
            output.mkdir(exist_ok=True)
            try:
                fill(output, scratch, overwrite=overwrite, given=given)
            except BaseException:
                if not existed:
                    shutil.rmtree(output, ignore_errors=True)
                raise
        except OSError as error:
            raise OutputError(f"The label maps cannot be written to {output} ({error.strerror or error}).") from error
        report.warnings += reader.warnings if reader is not None else []
    report.carry = carry
    return report


def _photos(folder: Path) -> Iterator[tuple[str, Clip, int | None]]:
    """Yield (stem, frame, number of photos) for each photo, in natural order of the names."""
    from segnst.video import images

    files, _ = images.apart_from_masks(images.frame_files(folder))
    stems: dict[str, Path] = {}
    for file in files:
        if file.stem in stems:
            raise InputError(f"{stems[file.stem].name} and {file.name} in {folder} would get the same label map.")
        stems[file.stem] = file
    for file in files:
        planes = images.load(file).planes()
        yield file.stem, Clip(torch.from_numpy(planes[:3].copy())[None], (0,), Fraction(1, 25)), len(files)


def _frames(path: Path, reader: Reader) -> Iterator[tuple[str, Clip, int | None]]:
    """Yield (name, frame, expected count) for each frame of a video or of a folder of frames, or for a still."""
    files = reader.info.files if reader.info.kind == "frames" else ()
    first = Run.of(reader).first if reader.start else 0  # names are numbers of frames of the whole input
    for number, clip in enumerate(reader, first):
        name = path.stem if reader.info.kind == "image" else files[clip.pts[0]].stem if files else f"{number:06d}"
        yield name, clip, reader.frames_expected
