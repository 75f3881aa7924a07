"""From settings and files to a styled file: what ``segnst style`` and ``segnst.style_video`` do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from segnst.assembly import build, memory_advice, versions, weights_used
from segnst.config import Settings
from segnst.errors import UsageError
from segnst.jobs.outputs import output_path
from segnst.pipeline import State
from segnst.plan import parse_plan
from segnst.segmentation.base import notes
from segnst.sheet import write_sheet
from segnst.video.paths import check_output
from segnst.video.read import open_reader
from segnst.video.write import open_writer

Progress = Callable[[int, int | None], None]  # frames done, frames expected


@dataclass
class Report:
    """What a run did. ``stages`` are seconds a frame; reading and writing run beside the others."""

    output: Path
    frames: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    weights: dict[str, dict[str, str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "output": str(self.output)}


class _Samples:
    """Some frames kept while a clip runs through, evenly spread though its length is not known: for the contact sheet.

    Every ``step``-th frame is kept; when there are twice as many as wanted, every second one is dropped.
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

    def write(self, path: Path) -> None:
        rows = [[(f"frame {n}", source) for n, source, _ in self.kept[k : k + 4]] for k in range(0, len(self.kept), 4)]
        results = [[("styled", styled) for _, _, styled in self.kept[k : k + 4]] for k in range(0, len(self.kept), 4)]
        write_sheet(path, [row for pair in zip(rows, results, strict=True) for row in pair], width=400)


def style_video(
    path: str | Path,
    out: str | Path | None = None,
    plan: str | Sequence[str] = (),
    *,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    sheet: str | Path | None = None,
    **options: Any,
) -> Report:
    """Style a video, a still or a folder of frames.

    path  the input; out  the output (default ``results/<stem>_<styles>.<ext>``); plan  entries such as
    ``["car=starry_night", "background=great_wave"]``; options  fields of ``Settings``
    (``style_video("a.mp4", "b.mp4", "car=starry_night", stability=0.9)``); progress  called after each frame;
    sheet  also write a contact sheet of source and result (PNG).

    Raises PlanError, UsageError, InputError, OutputError, WeightsError, ResourceError; nothing is left
    behind then. Returns the Report.
    """
    unknown = set(options) - set(Settings.__dataclass_fields__)
    if unknown:
        raise UsageError(f"There is no setting '{sorted(unknown)[0]}'.")
    settings = replace(settings or Settings(), **options)
    if plan:
        settings = replace(settings, styles=(plan,) if isinstance(plan, str) else tuple(plan))
    parsed = parse_plan(settings.styles)
    path = Path(path)
    output = output_path(path, out, parsed.styles, overwrite=overwrite, make_folder=False)
    if sheet is not None:
        check_output(sheet, path, overwrite=overwrite)

    began = time.perf_counter()
    reader = open_reader(path, start=settings.start, end=settings.end, max_size=settings.max_size, fps=settings.fps)
    with reader:
        parts = build(settings, reader)
        output_path(path, out, parsed.styles, overwrite=overwrite)  # only now: a run that cannot begin leaves no folder
        writer = open_writer(
            output,
            reader,
            codec=settings.codec,
            crf=settings.crf,
            preset=settings.preset,
            audio=settings.audio,
            overwrite=overwrite,
        )
        samples = _Samples() if sheet is not None else None
        pipeline, state, frames, waited = parts.pipeline, State(), 0, {"read": 0.0, "write": 0.0}
        with memory_advice(f"{reader.width}x{reader.height}"), writer:
            mark = time.perf_counter()
            for clip in reader:
                waited["read"] += time.perf_counter() - mark
                styled, state = pipeline(clip, state)
                mark = time.perf_counter()
                writer.write(styled)
                waited["write"] += time.perf_counter() - mark
                if samples:
                    samples.add(frames, clip.rgb, styled.rgb)
                frames += len(clip)
                if progress:
                    progress(frames, reader.frames_expected)
                mark = time.perf_counter()
    if samples and sheet is not None:
        samples.write(Path(sheet))
    count = max(frames, 1)
    stages = {
        name: seconds / count
        for name, seconds in ({"read": waited["read"]} | pipeline.seconds | {"write": waited["write"]}).items()
    }
    return Report(
        output=output,
        frames=frames,
        seconds=time.perf_counter() - began,
        stages=stages,
        warnings=[*reader.warnings, *writer.warnings, *notes(parts.segmenter, state.segmenter)],
        versions=versions(),
        weights=weights_used(parts),
        settings=asdict(settings),
    )
