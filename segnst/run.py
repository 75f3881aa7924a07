"""From settings and files to a styled file: what ``segnst style`` and ``segnst.style_video`` do."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segnst import registry
from segnst.config import Settings
from segnst.device import choose_device
from segnst.errors import OutputError, ResourceError, UsageError
from segnst.pipeline import Pipeline, State, layers_that_keep_colors
from segnst.plan import Plan, parse_plan
from segnst.segmentation.base import Segmenter, notes, select_regions
from segnst.segmentation.choose import load_objects, load_segmenter, segmenter_for
from segnst.sheet import write_sheet
from segnst.stabilize.masks import Edge
from segnst.stabilize.output import BlendStabilizer
from segnst.style.base import PlanStylizer, Scale
from segnst.style.checkpoints import StyleWeights, load_style
from segnst.video.read import Reader, open_reader
from segnst.video.write import check_output, default_output, open_writer
from segnst.weights import sha256

__all__ = ["Parts", "Report", "build", "load_objects", "load_segmenter", "segmenter_for", "style_video"]

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


@dataclass(frozen=True)
class Parts:
    """A pipeline and the weights that went into it."""

    pipeline: Pipeline
    plan: Plan
    styles: tuple[StyleWeights, ...]
    segmenter: Segmenter | None


def versions() -> dict[str, str]:
    """Versions of segnst, Python and the packages that decide the result."""
    names = ("segnst", "torch", "torchvision", "av", "opencv-python", "kornia", "numpy")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def build(settings: Settings, reader: Reader | None = None) -> Parts:
    """Load what the plan needs and put the pipeline together.

    reader  the input, for settings that point at something in it

    Raises PlanError, UsageError, WeightsError before any frame is read.
    """
    plan = parse_plan(settings.styles)
    device = choose_device(settings.device)
    edge = Edge.parse(settings.edge)
    regions = [name.strip().lower() for name in settings.keep_colors_of.split(",") if name.strip()]
    keep_colors = layers_that_keep_colors(plan, settings.keep_colors, regions)
    flow_loader = registry.get(registry.FLOWS, settings.flow, "optical flow")
    styles = tuple(load_style(name, fast=settings.fast) for name in plan.styles)
    painters = {name: style.painter for name, style in zip(plan.styles, styles, strict=True)}
    segmenter = None
    if not plan.whole_frame:
        segmenter = select_regions(segmenter_for(settings, device, reader, plan.regions), plan.regions)
    steady = settings.stabilize and settings.stability > 0
    pipeline = Pipeline(
        plan,
        PlanStylizer(plan, painters, device, Scale(settings.tile, settings.stroke_size)),
        segmenter=segmenter,
        flow=flow_loader(device=device, offline=settings.offline) if settings.stabilize else None,
        stabilizer=BlendStabilizer(settings.stability) if steady else None,
        edge=edge,
        keep_colors=keep_colors,
        device=device,
    )
    return Parts(pipeline, plan, styles, segmenter)


def weights_used(parts: Parts) -> dict[str, dict[str, str]]:
    """{name: {path, sha256}} of styles and segmenter."""
    used = {s.name: {"path": str(s.path), "sha256": s.sha256} for s in parts.styles}
    path = getattr(parts.segmenter, "path", None)
    if parts.segmenter is not None and path is not None:
        used[parts.segmenter.name] = {"path": str(path), "sha256": sha256(path)}
    return used


@contextmanager
def memory_advice(size: str) -> Iterator[None]:
    """Turn running out of memory, which torch says in several ways, into a ResourceError with advice."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ResourceError(
            f"There is not enough memory for frames of {size}. Try --max-size 960 or --tile exact."
        ) from error
    except RuntimeError as error:
        if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise ResourceError(
                f"There is not enough memory for frames of {size}. Try --max-size 960 or --tile exact."
            ) from error
        raise


def output_path(
    path: Path,
    out: str | Path | None,
    plan: Plan,
    *,
    overwrite: bool = False,
    make_folder: bool = True,
    default: Path | None = None,
) -> Path:
    """The output that a run may write: as given, or the default below ``results/``. Raises OutputError.

    make_folder  whether the folder of the default is made; default  another name for it
    """
    if out is not None:
        return check_output(out, path, overwrite=overwrite)
    output = default or default_output(path, plan.styles or ("original",))
    if not make_folder and not output.parent.exists():
        return output
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {output.parent} cannot be made ({error.strerror}).") from error
    return check_output(output, path, overwrite=overwrite)


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
    output = output_path(path, out, parsed, overwrite=overwrite, make_folder=False)
    if sheet is not None:
        check_output(sheet, path, overwrite=overwrite)

    began = time.perf_counter()
    reader = open_reader(path, start=settings.start, end=settings.end, max_size=settings.max_size, fps=settings.fps)
    with reader:
        parts = build(settings, reader)
        output_path(path, out, parsed, overwrite=overwrite)  # only now: a run that cannot begin leaves no folder
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
