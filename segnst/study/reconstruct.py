"""What a layer keeps: a picture from noise with the same features or Gram matrices (Gatys 2016, figure 1)."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segnst.assembly import memory_advice, versions
from segnst.device import choose_device
from segnst.errors import SegnstError, UsageError, did_you_mean
from segnst.jobs.optimize import Progress, load_features
from segnst.jobs.optimize_film import Film, FilmOptions, write_curves
from segnst.perceptual.objective import STYLE_LAYERS, LossWeights, Objective, StyleRegion
from segnst.style.optimization import Diverged, Losses, OptimizeSettings, optimize, resized
from segnst.video.paths import check_output
from segnst.video.pictures import read_picture, write_picture


def reconstruct_file(
    what: str,
    path: Path,
    layer: str,
    out: Path,
    *,
    settings: OptimizeSettings,
    tv_weight: float = 20.0,
    features: str = "vgg19",
    max_size: int = 384,
    film: FilmOptions = FilmOptions(),  # noqa: B008 - frozen
    device: str = "auto",
    offline: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a picture (a still's suffix) that a layer cannot tell from ``path``'s; return the facts.

    what  "content": the features at ``layer``; "style": the Gram matrices of all style layers up to ``layer``
    Raises UsageError, InputError, OutputError, WeightsError; SegnstError when the loss is no longer finite.
    """
    if what not in ("content", "style"):
        raise UsageError(f"Reconstruct content or style, not '{what}'.{did_you_mean(what, ('content', 'style'))}")
    check_output(out, path, overwrite=overwrite)
    film.check(overwrite)
    began = time.perf_counter()
    where = choose_device(device)
    encoder, warnings = load_features(features, offline=offline, device=where)
    encoder.check((layer,))
    encoder.pooling = settings.pooling
    rgb = read_picture(path, max_size, "input").to(where)
    layers: tuple[str, ...] = (layer,)
    weights = LossWeights(content_layers=((layer, 1.0),), style_weight=0.0, tv_weight=tv_weight)
    if what == "style":
        layers = (*(n for n in STYLE_LAYERS if n < layer and n in encoder.layers), layer)
        weights = LossWeights(
            style_layers=tuple((n, 1.0) for n in layers), content_weight=0.0, style_weight=1e3, tv_weight=tv_weight
        )
    settings = replace(settings, losses=weights)

    def build(size: tuple[int, int]) -> Objective:
        small = resized(rgb, size)
        return Objective(encoder, weights, small, [StyleRegion([(small, 1.0)])] if what == "style" else [])

    generator = torch.Generator().manual_seed(settings.seed)
    start = (0.5 + 0.15 * torch.randn(rgb.shape, generator=generator)).clamp(0, 1).to(where)
    keep = Film(film, settings.steps, lambda picture: picture.cpu())

    def watch(step: int, picture: Tensor, losses: Losses) -> None:
        keep(step, picture)
        if progress:
            progress(0, settings.steps, losses)

    with keep, memory_advice(f"{rgb.shape[-1]}x{rgb.shape[-2]}"):
        try:
            result = optimize(build, start, settings, watch=watch)
        except Diverged as error:
            write_picture(out, error.picture)
            raise SegnstError(f"{error} The last good picture is {out}.") from error
        made = keep.write(overwrite)
    write_picture(out, result.picture)
    if film.curves is not None:
        made += write_curves(film.curves, result.losses)
    return {
        "output": str(out),
        "layers": list(layers),
        "features": encoder.name,
        "steps": len(result.losses),
        "seconds": time.perf_counter() - began,
        "converged": result.converged,
        "losses": result.losses,
        "warnings": warnings,
        "files": [str(p) for p in made],
        "versions": versions(),
        "settings": asdict(settings),
    }
