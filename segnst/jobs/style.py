"""Styles a file by settings and writes the result: the job of ``segnst style`` and ``segnst.style_video``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Unpack

from torch import Tensor

from segnst.assembly import Parts, build, memory_advice, versions, weights_used
from segnst.config import Options, Settings, with_options
from segnst.errors import UsageError
from segnst.jobs.chunks.settings import Spread
from segnst.jobs.events import Context, Event, Frames, JobReport, Listener, Stage
from segnst.jobs.inputs import are_frames, pictures_and_films
from segnst.jobs.layers import Alpha, check_layers, layer_files
from segnst.jobs.outputs import check_apart, folder_for, given_files, looks_into_input, open_input, output_path
from segnst.jobs.refine import refine_pictures
from segnst.pipeline import State
from segnst.plan import parse_plan
from segnst.recipe import Recipe, recipe_of
from segnst.sheet import write_sheet
from segnst.video.paths import check_format, check_output, is_stdout
from segnst.video.pipes import is_pipe
from segnst.video.read import Reader, open_reader
from segnst.video.stdout import standard_output
from segnst.video.write import Writer, open_writer

Progress = Callable[[int, int | None], None]  # frames done, frames expected


@dataclass
class Report(JobReport):
    """What a run did.

    stages  {stage: seconds per frame}. Reading and writing run in the background, so for these it is the time that the
            run waited for them
    engine  what ran the networks, with its version and number format
    """

    output: Path
    frames: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    engine: str = ""
    warnings: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    weights: dict[str, dict[str, str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


class _Samples:
    """Collects evenly spread frames of a clip of unknown length for the contact sheet.

    Every ``step``-th frame is kept. When there are twice as many as wanted, every second one of them is dropped, and
    ``step`` is doubled.
    """

    def __init__(self, count: int = 8) -> None:
        self.count, self.step = count, 1
        self.kept: list[tuple[int, Tensor, Tensor]] = []

    def add(self, number: int, source: Tensor, styled: Tensor) -> None:
        if number % self.step:
            return
        self.kept.append((number, source[0], styled[0]))
        if len(self.kept) == 2 * self.count:
            self.kept, self.step = self.kept[::2], 2 * self.step

    def write(self, path: Path, *, replace: bool) -> None:
        rows = [[(f"frame {n}", source) for n, source, _ in self.kept[k : k + 4]] for k in range(0, len(self.kept), 4)]
        results = [[("styled", styled) for _, _, styled in self.kept[k : k + 4]] for k in range(0, len(self.kept), 4)]
        write_sheet(path, [row for pair in zip(rows, results, strict=True) for row in pair], width=400, replace=replace)


def _sheet_of(source: Path, output: Path, settings: Settings) -> _Samples:
    """Samples of a run that is over: some of its frames may have been styled in an earlier one."""
    samples = _Samples()
    with open_input(source, settings) as before, open_reader(output) as after:
        for number, (frame, styled) in enumerate(zip(before, after, strict=False)):
            samples.add(number, frame.rgb, styled.rgb)
    return samples


def style_file(
    input: str | Path,
    output: str | Path | None,
    settings: Settings,
    *,
    sheet: str | Path | None = None,
    spread: Spread = Spread(),
    overwrite: bool = False,
    context: Context | None = None,
    layers: str | Path | None = None,
    alpha: Alpha | None = None,
    parts: Parts | None = None,
    repeats: Recipe | None = None,
) -> Report:
    """Style a video, a still or a folder of frames.

    input   a path; ``-`` or a named pipe is read once, as it comes
    output  None: ``results/<stem>_<styles>.<ext>``; ``-``: standard output, in the format that the settings name
    sheet   PNG for a contact sheet of source and result, or None
    spread  whether a journal of what is done is kept. What is in it stays when the run fails
    layers  also write each layer with its alpha, as ``segnst.jobs.layers`` says;  alpha  straight or premultiplied
    parts   what ``build(settings)`` made, for a caller that styles several inputs; None: it is built here
    repeats the recipe that the settings come from; weights that differ from its own are a warning

    Raises PlanError, UsageError, InputError, OutputError, WeightsError, ResourceError, Cancelled; in each case, nothing
    is left behind.
    """
    context = context or Context()
    path = Path(input)
    styles = parse_plan(settings.styles).styles
    target = output_path(path, output, styles, overwrite=overwrite, stdout=True)
    check_format(settings.format, target)
    if sheet is not None:
        check_output(sheet, path, overwrite=overwrite)
    check_apart({"--output": target, "--sheet": sheet, "--layers": layers}, given_files(settings))
    check_layers(layers, path, overwrite=overwrite)
    refine_pictures(path, settings, context)
    if spread.wanted:
        if is_stdout(target) or is_pipe(path):
            raise UsageError("A pipe cannot be resumed, so --resume and --restart need files on both sides.")
        from segnst.jobs.chunks.run import style_in_chunks

        if layers is not None:
            raise UsageError("--layers are written in one go; leave out --resume and --workers.")
        report = style_in_chunks(path, target, settings, spread, overwrite=overwrite, context=context)
        for warning in repeats.differences(report.weights) if repeats is not None else []:
            report.warnings.append(warning)
            context.warn(warning)
        if sheet is not None:
            context.tell(Stage("draw the contact sheet"))
            _sheet_of(path, report.output, settings).write(Path(sheet), replace=overwrite)
        return report
    began = time.perf_counter()
    context.stage("open the input")
    reader = open_input(path, settings, pipe=True)
    with standard_output(is_stdout(target)), reader:
        with context.loading() as said:
            parts = parts or build(settings, reader)
            parts.pipeline.seconds.clear()
        used = weights_used(parts)
        said += repeats.differences(used) if repeats is not None else []
        for warning in said:
            context.warn(warning)
        samples = _Samples() if sheet is not None else None
        with folder_for(target), layer_files(layers, alpha, reader, parts.pipeline, overwrite=overwrite):
            writer = open_writer(
                target,
                reader,
                codec=settings.codec,
                crf=settings.crf,
                preset=settings.preset,
                audio=settings.audio,
                bit_rate=settings.bits(),
                recipe=recipe_of(settings, parts) if settings.recipe else None,
                overwrite=overwrite,
                format=settings.format,
            )
            frames, state, waited = _frames(parts, reader, writer, samples, context)
    if samples and sheet is not None:
        context.tell(Stage("draw the contact sheet"))  # the output is complete, so there is nothing to cancel any more
        samples.write(Path(sheet), replace=overwrite)
    warnings = [
        *said,
        *reader.warnings,
        *writer.warnings,
        *(parts.segmenter.notes(state.segmenter) if parts.segmenter else []),
    ]
    for warning in warnings:
        context.warn(warning)
    seconds = {"read": waited["read"]} | parts.pipeline.seconds | {"write": waited["write"]}
    return Report(
        output=target,
        frames=frames,
        seconds=time.perf_counter() - began,
        stages={name: each / max(frames, 1) for name, each in seconds.items()},
        engine=str(parts.engine),
        warnings=warnings,
        versions=versions(),
        weights=used,
        settings=asdict(settings),
    )


def _frames(
    parts: Parts, reader: Reader, writer: Writer, samples: _Samples | None, context: Context
) -> tuple[int, State, dict[str, float]]:
    """Style and write all frames; return their number, the last state, and the seconds of waiting to read and write."""
    state, frames, waited = State(), 0, {"read": 0.0, "write": 0.0}
    with memory_advice(f"{reader.width}x{reader.height}"), writer:
        context.stage("frames")
        mark = time.perf_counter()
        for clip in reader:
            waited["read"] += time.perf_counter() - mark
            styled, state = parts.pipeline(clip, state)
            mark = time.perf_counter()
            writer.write(styled)
            waited["write"] += time.perf_counter() - mark
            if samples:
                samples.add(frames, clip.rgb, styled.rgb)
            context.thumbnail(frames, styled.rgb)
            frames += len(clip)
            context.frames(frames, reader.frames_expected)
            mark = time.perf_counter()
        context.stage("complete the file")
    return frames, state, waited


def style_video(
    path: str | Path,
    out: str | Path | None = None,
    plan: str | Sequence[str] = (),
    *,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    sheet: str | Path | None = None,
    spread: Spread = Spread(),
    listener: Listener | None = None,
    **options: Unpack[Options],
) -> Report:
    """Style a video, a still or a folder of frames; a convenient form of ``style_file`` for use in Python.

    path      the input
    out       the output; None: ``results/<stem>_<styles>.<ext>``
    plan      one entry, or several such as ``["car=starry_night", "background=great_wave"]``
    progress  called after each frame with the number of frames that are done and expected
    sheet     PNG for a contact sheet of source and result, or None
    spread    whether a journal of what is done is kept (``segnst.jobs.chunks.settings``)
    listener  called with every event (``segnst.jobs.events``)
    options   fields of ``Settings``: ``style_video("a.mp4", "b.mp4", "car=starry_night", stability=0.9)``

    Returns the report. Raises PlanError, UsageError, InputError, OutputError, WeightsError, ResourceError; in each
    case, nothing is left behind.
    """
    settings = with_options(settings, plan, options)

    def hear(event: Event) -> None:
        if progress is not None and isinstance(event, Frames):
            progress(event.done, event.expected)
        if listener is not None:
            listener(event)

    context = Context(hear)
    report = style_file(path, out, settings, sheet=sheet, spread=spread, overwrite=overwrite, context=context)
    if Path(path).is_dir() and not looks_into_input(settings) and not are_frames(pictures_and_films(Path(path))[0])[0]:
        report.warnings.append(
            f"The pictures of {path} were styled as the frames of one film. If they are photos, use segnst.style_files."
        )
        context.warn(report.warnings[-1])
    return report
