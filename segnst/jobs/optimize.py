"""Paints files by optimization and writes the result: the job of ``segnst optimize``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segnst import registry
from segnst.assembly import memory_advice, versions
from segnst.device import choose_device
from segnst.errors import SegnstError, UsageError
from segnst.jobs.events import Context, JobReport, Stage
from segnst.jobs.optimize_film import Film, FilmOptions, write_curves
from segnst.jobs.optimize_settings import OptimizeOptions
from segnst.jobs.outputs import check_apart, folder_for, output_path
from segnst.perceptual.encoders import Encoder, load_encoder
from segnst.perceptual.objective import choose_layers
from segnst.pipeline import Pipeline, State, compose
from segnst.plan import Plan
from segnst.segmentation.from_settings import load_segmenter
from segnst.stabilize.masks import Edge
from segnst.style.optimization import Diverged, Losses, resized
from segnst.style.optimization_stylizer import OptimizingStylizer
from segnst.types import Clip
from segnst.video.pictures import read_picture, write_picture
from segnst.video.read import Reader, open_reader
from segnst.video.write import open_writer


@dataclass
class OptimizeReport(JobReport):
    """What a run did. ``losses`` has one entry per step, which for a video contains the number of the frame."""

    output: Path
    features: str = ""
    steps: int = 0
    frames: int = 0
    seconds: float = 0.0
    converged: bool = False
    content_layers: dict[str, float] = field(default_factory=dict)
    style_layers: dict[str, float] = field(default_factory=dict)
    losses: list[Losses] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=versions)
    settings: dict[str, Any] = field(default_factory=dict)


def load_features(name: str, *, offline: bool, device: torch.device) -> Encoder:
    """Load an encoder to the device. If another one must replace it, a SegnstWarning says so. Raises WeightsError."""
    encoder = load_encoder(name, offline=offline)
    return encoder.to(device).to(memory_format=torch.channels_last)


class _Run:
    """The state of one run over an opened input: the pipeline, the film and the losses."""

    def __init__(self, plan: Plan, options: OptimizeOptions, film: FilmOptions, moving: bool, context: Context) -> None:
        device = choose_device(options.device)
        settings = options.settings
        self.paintings = {name: read_picture(name, what="painting") for name in plan.styles}
        encoder = load_features(options.features, offline=options.offline, device=device)
        self.encoder, self.context = encoder, context
        self.layers = choose_layers(settings.losses, encoder)
        flow = registry.get(registry.FLOWS, options.flow, "optical flow")
        segmenter = None
        if not plan.whole_frame:
            segmenter = load_segmenter(options.segmenter, device, offline=options.offline).select(plan.regions)
        self.stylizer = OptimizingStylizer(
            plan,
            {name: p.to(device) for name, p in self.paintings.items()},
            encoder,
            settings,
            flow=flow(device=device, offline=options.offline) if moving else None,
            match=options.keep_colors == "match",
            demand=not moving,  # a region that the first frame of a video lacks may appear later
            watch=self._watch,
        )
        self.pipeline = Pipeline(
            plan,
            self.stylizer,
            segmenter=segmenter,
            flow=flow(device=device, offline=options.offline) if moving and segmenter else None,
            edge=Edge.parse(options.edge),
            keep_colors=[options.keep_colors == "luminance"] * len(plan.entries),
            device=device,
        )
        self.film = Film(film, settings.steps, self.finish)
        self.losses: list[Losses] = []
        self.moving = moving

    def finish(self, picture: Tensor) -> Tensor:
        """Turn an optimized picture into the picture that the output would show."""
        rgb, masks = self.stylizer.current
        painted = resized(picture, (rgb.shape[-2], rgb.shape[-1])).clamp(0, 1)
        own = self.pipeline.edge.kind == "matte"
        amounts, keep_colors = self.stylizer.amounts, self.pipeline.keep_colors
        return compose(rgb, painted, masks, amounts, keep_colors, own_colors=own).detach().cpu()

    def _watch(self, step: int, picture: Tensor, losses: Losses) -> None:
        frame = len(self.stylizer.results)
        if self.moving:
            losses["frame"] = frame
        self.losses.append(losses)
        if not self.moving:
            self.film(step, picture)
        if self.context.shows:
            self.context.thumbnail(frame, self.finish(picture.detach()))
        self.context.step(frame, self.stylizer.expected, losses)


def optimize_file(
    input: str | Path,
    output: str | Path | None,
    settings: OptimizeOptions,
    *,
    film: FilmOptions = FilmOptions(),  # noqa: B008 - frozen
    overwrite: bool = False,
    context: Context | None = None,
) -> OptimizeReport:
    """Paint a still, or every frame of a short video, by optimization.

    output  None: ``results/<stem>_<paintings>.<ext>``;  film  what is recorded of the steps

    Raises PlanError, UsageError, InputError, OutputError, WeightsError or ResourceError before anything is written;
    Cancelled, with nothing left behind; and SegnstError when the loss is no longer finite. In that case the last good
    picture is written: a still to the output, a frame of a video next to it.
    """
    context = context or Context()
    path, plan = Path(input), settings.plan()
    target = output_path(path, output, plan.styles, overwrite=overwrite)
    film = film.beside(target)
    film.check(overwrite)
    check_apart({"--output": target, **film.outputs()}, [path, *plan.styles])
    began = time.perf_counter()
    context.stage("open the input")
    if not path.exists():
        read_picture(path, what="input")  # raises an error that suggests the nearest name
    with open_reader(path, start=settings.start, end=settings.end, max_size=settings.max_size) as reader:
        moving = reader.info.kind != "image"
        if moving and (film.folder or film.gif or film.mp4):
            raise UsageError("--every, --gif and --mp4 record the steps of a still; leave them out for a video.")
        with context.loading() as said:
            run = _Run(plan, settings, film, moving, context)
        with folder_for(target), run.film.beside(target):
            more, frames = _paint(run, reader, target, overwrite)
            made = run.film.write(overwrite)
    if film.curves is not None:
        context.tell(Stage("draw the curves"))
        made += write_curves(film.curves, _numbered(run.losses))
    warnings = [*said, *more, *run.stylizer.never_seen()]
    for warning in warnings:
        context.warn(warning)
    return OptimizeReport(
        output=target,
        features=run.encoder.name,
        steps=len(run.losses),
        frames=frames,
        seconds=time.perf_counter() - began,
        converged=run.stylizer.converged,
        content_layers=run.layers[0],
        style_layers=run.layers[1],
        losses=run.losses,
        warnings=warnings,
        files=[str(p) for p in made],
        settings=asdict(settings),
    )


def _numbered(losses: Sequence[Losses]) -> list[Losses]:
    """Number the steps of all frames of a video consecutively, as the curves need them."""
    return [{**entry, "step": k} for k, entry in enumerate(losses, 1)]


def _paint(run: _Run, reader: Reader, output: Path, overwrite: bool) -> tuple[list[str], int]:
    """Paint and write all frames; return the warnings and the number of frames."""
    writer = open_writer(output, reader, overwrite=overwrite)
    state, frames = State(), 0
    with memory_advice(f"{reader.width}x{reader.height}"), writer:
        run.context.stage("steps")
        for clip in reader:
            try:
                styled, state = run.pipeline(clip, state)
            except Diverged as error:
                raise _stopped(error, run, writer, clip, output, frames) from error
            writer.write(styled)
            frames += 1
            if run.moving:
                run.context.frames(frames, reader.frames_expected)
    return [*reader.warnings, *writer.warnings], frames


def _stopped(error: Diverged, run: _Run, writer: Any, clip: Clip, output: Path, frames: int) -> SegnstError:
    """Write the last good picture, and return the error to raise.

    A still is written as the output itself, a frame of a video as a picture next to the output.
    """
    advice = "Lower --learning-rate, --style-weight or --tv-weight, or take --optimizer adam."
    where = f"step {error.step}" + (f" of frame {frames + 1}" if run.moving else "")
    good = run.finish(error.picture)
    kept = output
    if run.moving:
        kept = output.with_name(f"{output.stem}_last_good.png")
        with suppress(SegnstError):
            write_picture(kept, good)
    else:
        writer.write(replace(clip, rgb=good))
        writer.close()
    return SegnstError(f"The loss is no longer finite at {where}; the last good picture is {kept}. {advice}")
