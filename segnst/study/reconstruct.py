"""Shows what a layer keeps: optimizes noise until it has the same features or Gram matrices (Gatys 2016, figure 1)."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segnst.assembly import memory_advice, versions
from segnst.device import choose_device
from segnst.errors import SegnstError
from segnst.jobs.events import Context, JobReport, Stage
from segnst.jobs.optimize import load_features
from segnst.jobs.optimize_film import Film, FilmOptions, write_curves
from segnst.jobs.outputs import check_apart, folder_for, output_path
from segnst.perceptual.loss_weights import LossWeights
from segnst.perceptual.objective import STYLE_LAYERS, Objective, StyleRegion
from segnst.study.settings import ReconstructSettings
from segnst.style.optimization import Diverged, Losses, optimize, resized
from segnst.video.pictures import read_picture, write_picture


@dataclass
class ReconstructReport(JobReport):
    """The result: ``losses`` has one entry for each step, ``layers`` names the layers that were matched."""

    output: Path
    layers: list[str]
    features: str
    steps: int
    seconds: float
    converged: bool
    losses: list[Losses]
    warnings: list[str]
    files: list[str]
    versions: dict[str, str]
    settings: dict[str, Any]


def reconstruct_file(
    input: str | Path,
    output: str | Path | None,
    settings: ReconstructSettings,
    *,
    film: FilmOptions = FilmOptions(),  # noqa: B008 - frozen
    overwrite: bool = False,
    context: Context | None = None,
) -> ReconstructReport:
    """Write a picture (a still's suffix) whose features or Gram matrices are those of the input.

    output  default ``results/<stem>_<what>_<layer>.png``
    Raises UsageError, InputError, OutputError, WeightsError, Cancelled; SegnstError when the loss is no longer finite.
    """
    context = context or Context()
    path, what, layer = Path(input), settings.what, settings.layer
    default = Path("results") / f"{path.stem}_{what}_{layer}.png"
    out = output_path(path, output, (), overwrite=overwrite, default=default)
    film = film.beside(out)
    film.check(overwrite)
    check_apart({"--output": out, **film.outputs()}, [path])
    began = time.perf_counter()
    where = choose_device(settings.device)
    with context.loading() as said:
        encoder = load_features(settings.features, offline=settings.offline, device=where)
    encoder.check((layer,))
    encoder.pooling = settings.optimization.pooling
    rgb = read_picture(path, settings.max_size, "input").to(where)
    layers: tuple[str, ...] = (layer,)
    weights = LossWeights(content_layers=((layer, 1.0),), style_weight=0.0, tv_weight=settings.tv_weight)
    if what == "style":
        layers = (*(n for n in STYLE_LAYERS if n < layer and n in encoder.layers), layer)
        weights = LossWeights(
            style_layers=tuple((n, 1.0) for n in layers),
            content_weight=0.0,
            style_weight=1e3,
            tv_weight=settings.tv_weight,
        )
    how = replace(settings.optimization, losses=weights)

    def build(size: tuple[int, int]) -> Objective:
        small = resized(rgb, size)
        return Objective(encoder, weights, small, [StyleRegion([(small, 1.0)])] if what == "style" else [])

    generator = torch.Generator().manual_seed(how.seed)
    start = (0.5 + 0.15 * torch.randn(rgb.shape, generator=generator)).clamp(0, 1).to(where)
    keep = Film(film, how.steps, lambda picture: picture.cpu())

    def watch(step: int, picture: Tensor, losses: Losses) -> None:
        keep(step, picture)
        context.thumbnail(0, picture.detach())
        context.step(0, how.steps, losses)

    with folder_for(out), keep.beside(out), memory_advice(f"{rgb.shape[-1]}x{rgb.shape[-2]}"):
        context.stage("steps")
        try:
            result = optimize(build, start, how, watch=watch)
        except Diverged as error:
            write_picture(out, error.picture)
            raise SegnstError(f"{error} The last good picture is {out}.") from error
        made = keep.write(overwrite)
        write_picture(out, result.picture)
    if film.curves is not None:
        context.tell(Stage("draw the curves"))
        made += write_curves(film.curves, result.losses)
    return ReconstructReport(
        output=out,
        layers=list(layers),
        features=encoder.name,
        steps=len(result.losses),
        seconds=time.perf_counter() - began,
        converged=result.converged,
        losses=result.losses,
        warnings=said,
        files=[str(p) for p in made],
        versions=versions(),
        settings=asdict(how),
    )
