"""Styles many files with models that are loaded once; a file that fails does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from segnst.assembly import Parts, build, versions, weights_used
from segnst.config import Settings
from segnst.device import choose_device
from segnst.errors import Cancelled, InputError, OutputError, SegnstError, UsageError
from segnst.jobs.chunks.settings import Spread
from segnst.jobs.events import Context, Failed, Input, JobReport
from segnst.jobs.inputs import FILM_SUFFIXES, Found, Kind, gather, targets
from segnst.jobs.outputs import folder_for, looks_into_input
from segnst.jobs.segment import SegmentReport, segment_file
from segnst.jobs.segment_objects import detect_file
from segnst.jobs.segment_settings import DetectSettings, SegmentSettings
from segnst.jobs.style import style_file
from segnst.plan import parse_plan
from segnst.recipe import Recipe
from segnst.segmentation.from_settings import segmenter_for
from segnst.untrusted import is_folder
from segnst.video.guard import reading
from segnst.video.images import FRAME_SUFFIXES, natural_key

_MANY = 1000  # frames; the number in films that were not opened yet does not matter, only that it is not small


class _WithFrames(Protocol):
    frames: int


Job = Callable[[Path, Path], _WithFrames]  # input, output -> report


@dataclass
class Row:
    """What became of one input: its output, or the sentence that says what went wrong."""

    input: Path
    output: Path | None
    frames: int = 0
    seconds: float = 0.0
    error: str | None = None


@dataclass
class BatchReport(JobReport):
    """What became of all inputs (``files``), and how many of them failed."""

    output: Path | None
    files: list[dict[str, Any]] = field(default_factory=list)
    frames: int = 0
    failed: int = 0
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    weights: dict[str, dict[str, str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, output: Path | None, rows: Sequence[Row], context: Context, **more: Any) -> BatchReport:
        return cls(
            output,
            [asdict(row) for row in rows],
            frames=sum(row.frames for row in rows),
            failed=sum(row.error is not None for row in rows),
            seconds=sum(row.seconds for row in rows),
            warnings=list(context.warned),
            **more,
        )


def one_after_another(
    found: Sequence[Found], made: Sequence[Path], job: Job, context: Context, *, folders: bool = True
) -> list[Row]:
    """Run a job for each input. An error of one is told and kept in its row, and the next one begins.

    folders  make the missing folders of an output

    Raises Cancelled; what was complete by then stays.
    """
    rows: list[Row] = []
    for number, (each, target) in enumerate(zip(found, made, strict=True), 1):
        context.tell(Input(each.path, number, len(found)))
        try:
            rows.append(run_one(each.path, target, job, context, folders=folders))
        except Cancelled:
            done = sum(row.error is None for row in rows)
            if not done:
                raise
            raise Cancelled(f"The job was cancelled; {done} of {len(found)} outputs were complete and stay.") from None
    return rows


def run_one(path: Path, target: Path, job: Job, context: Context, *, folders: bool = True) -> Row:
    """Run a job for one input of several. Raises Cancelled only."""
    began = time.perf_counter()
    try:
        if folders:
            with folder_for(target):
                report = job(path, target)
        else:
            report = job(path, target)
    except Cancelled:
        raise
    except SegnstError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - whatever one file does to a library, the others are still wanted
        context.check()  # what a library makes of an interrupt is no failure of the file
        problem = f"An unexpected error: {type(error).__name__}: {error}"
    else:
        return Row(path, target, report.frames, time.perf_counter() - began)
    context.tell(Failed(path, problem))
    return Row(path, None, 0, time.perf_counter() - began, problem)


def _load(settings: Settings, context: Context, found: Sequence[Found] = ()) -> Parts | None:
    """The models for all inputs, or None where they depend on what the input shows.

    An engine that has to be compiled is worth it where there are films.
    """
    films = any(each.path.suffix.lower() in FILM_SUFFIXES or each.path.is_dir() for each in found)
    if looks_into_input(settings):
        return None
    with context.loading():
        return build(settings, frames=_MANY if films else 0)


def _styling(
    settings: Settings,
    parts: Parts | None,
    overwrite: bool,
    context: Context,
    repeats: Recipe | None = None,
    spread: Spread = Spread(),
) -> Job:
    return lambda path, target: style_file(
        path, target, settings, spread=spread, overwrite=overwrite, context=context, parts=parts, repeats=repeats
    )


def _summary(settings: Settings, parts: Parts | None) -> dict[str, Any]:
    weights = weights_used(parts) if parts is not None else {}
    return {"versions": versions(), "weights": weights, "settings": asdict(settings)}


def style_files(
    input: Sequence[str | Path],
    output: str | Path | None,
    settings: Settings,
    *,
    kind: Kind = "auto",
    recursive: bool = False,
    spread: Spread = Spread(),
    overwrite: bool = False,
    context: Context | None = None,
    repeats: Recipe | None = None,
) -> BatchReport:
    """Style films, stills and folders, each into a file of its own.

    output     a folder, which is made if it is missing; None: ``results/<stem>_<styles>.<ext>`` for each
    kind       whether the pictures of a folder are photos or the frames of one film (``segnst.jobs.inputs.gather``)
    recursive  also style what lies in the folders below
    spread     whether a journal of each output is kept
    repeats    the recipe that the settings come from

    Raises UsageError, PlanError, InputError, OutputError, WeightsError for what concerns all inputs, before the first
    one; and Cancelled. What concerns one input is in its row of the report.
    """
    context = context or Context()
    folder = None if output is None else Path(output)
    styles = parse_plan(settings.styles).styles
    context.stage("look for inputs")
    inputs = gather([Path(each) for each in input], kind=kind, recursive=recursive, leave_out=folder)
    for warning in inputs.warnings:
        context.warn(warning)
    made = targets(inputs.found, folder, styles)
    parts = None if spread.wanted else _load(settings, context, inputs.found)
    job = _styling(settings, parts, overwrite, context, repeats, spread)
    rows = one_after_another(inputs.found, made, job, context)
    return BatchReport.of(folder, rows, context, **_summary(settings, parts))


def segment_files(
    input: Sequence[str | Path],
    output: str | Path,
    settings: SegmentSettings,
    *,
    frames: bool = False,
    overwrite: bool = False,
    context: Context | None = None,
) -> BatchReport:
    """Write the masks of each input into a folder of its own below ``output``, named by the input.

    Raises UsageError, PlanError, WeightsError for what concerns all inputs, and Cancelled.
    """
    context = context or Context()
    found, made = _apart([Path(each) for each in input], Path(output))
    segmenter = None
    if not looks_into_input(settings.source):
        with context.loading():
            segmenter = segmenter_for(settings.source, choose_device(settings.source.device))

    def job(path: Path, target: Path) -> SegmentReport:
        return segment_file(
            path, target, settings, frames=frames, overwrite=overwrite, context=context, loaded=segmenter
        )

    return BatchReport.of(Path(output), one_after_another(found, made, job, context), context)


def detect_files(
    input: Sequence[str | Path],
    output: str | Path,
    settings: DetectSettings,
    *,
    overwrite: bool = False,
    context: Context | None = None,
) -> BatchReport:
    """Cut out the objects of each input into a folder of its own below ``output``. Raises as ``segment_files``."""
    context = context or Context()
    found, made = _apart([Path(each) for each in input], Path(output))

    def job(path: Path, target: Path) -> SegmentReport:
        return detect_file(path, target, settings, overwrite=overwrite, context=context)

    return BatchReport.of(Path(output), one_after_another(found, made, job, context), context)


def _apart(paths: Sequence[Path], output: Path) -> tuple[list[Found], list[Path]]:
    """Each input and its folder below ``output``. Raises UsageError where two would share one."""
    found = [Found(path, Path(path.stem or path.resolve().name)) for path in paths]
    names: dict[str, Path] = {}
    for each in found:
        other = names.setdefault(str(each.within).casefold(), each.path)
        if other is not each.path:
            raise UsageError(
                f"The masks of {other} and {each.path} would both go to {output / each.within}; segment them in two "
                "runs with different -o."
            )
    return found, [output / each.within for each in found]


def watch_folder(
    input: str | Path,
    output: str | Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    pause: float = 1.0,
    context: Context | None = None,
    repeats: Recipe | None = None,
) -> BatchReport:
    """Style every film and still that is or arrives in a folder, until ``context`` is cancelled.

    What has an output already is left out, unless ``overwrite`` is set. A file is begun when its size and time have
    stayed the same from one look to the next. One that fails is tried again only after it has changed.

    pause  seconds between two looks

    Raises InputError, OutputError, PlanError, UsageError, WeightsError before the first look, KeyboardInterrupt.
    """
    context = context or Context()
    source, folder = Path(input), Path(output)
    if not is_folder(source):
        raise InputError(f"{source} is no folder that could be watched.")
    if folder.exists() and folder.samefile(source):
        raise OutputError(f"The output {folder} is the folder that is watched; choose another.")
    parse_plan(settings.styles)
    parts = _load(settings, context)
    job = _styling(settings, parts, overwrite, context, repeats)
    rows: list[Row] = []
    try:
        for number, path in enumerate(_arrivals(source, folder, overwrite, pause, context), 1):
            context.tell(Input(path, number, None))
            (target,) = targets([Found(path, Path(path.name))], folder, ())
            rows.append(run_one(path, target, job, context))
    except Cancelled:
        pass
    return BatchReport.of(folder, rows, context, **_summary(settings, parts))


def _arrivals(source: Path, folder: Path, overwrite: bool, pause: float, context: Context) -> Iterator[Path]:
    """Yield each file once it is complete, and again after it has changed."""
    seen: dict[Path, tuple[int, int]] = {}
    begun: dict[Path, tuple[int, int]] = {}
    while True:
        context.check()
        now: dict[Path, tuple[int, int]] = {}
        with reading(source):
            files = sorted(source.iterdir(), key=natural_key)
        for path in files:
            if path.name.startswith(".") or path.suffix.lower() not in FRAME_SUFFIXES | FILM_SUFFIXES:
                continue
            try:
                status = path.stat()
            except OSError:
                continue
            if path.is_file() and status.st_size:
                now[path] = (status.st_size, status.st_mtime_ns)
        for path, stamp in now.items():
            if seen.get(path) != stamp or begun.get(path) == stamp:
                continue
            begun[path] = stamp
            (target,) = targets([Found(path, Path(path.name))], folder, ())
            if overwrite or not target.exists():
                yield path
        seen = now
        time.sleep(pause)
