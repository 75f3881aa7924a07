"""Compares optimization by segnst with a plain loop on the same network, layers, weights and number of gradients.

The plain loop follows the paper directly: torch's L-BFGS with its defaults (history 100, no line search, 20 evaluations
a call) on the picture at full size from the first step to the last. It computes its targets once, as segnst does;
segnst saves time elsewhere (coarse to fine, memory layout, a shorter history). Both pictures are then clamped to [0,1],
as a file would hold them, and measured by the same objective at full size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from segnst.perceptual.encoders import Encoder
from segnst.perceptual.loss_weights import LossWeights
from segnst.perceptual.losses import gram
from segnst.perceptual.objective import Objective, StyleRegion, choose_layers
from segnst.style.optimization import optimize, resized
from segnst.style.optimization_settings import OptimizeSettings


def reference(encoder: Encoder, content: Tensor, painting: Tensor, weights: LossWeights, steps: int) -> Tensor:
    """The plain loop: [1,3,H,W] -> [1,3,H,W] after ``steps`` evaluations of loss and gradient."""
    content_layers, style_layers = choose_layers(weights, encoder)
    names = {*content_layers, *style_layers}
    with torch.no_grad():
        content_targets = encoder(content, content_layers)
        style_targets = {n: gram(f) for n, f in encoder(painting, style_layers).items()}
    picture = content.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([picture], tolerance_grad=0, tolerance_change=0)
    done = 0

    def closure() -> Tensor:
        nonlocal done
        optimizer.zero_grad()
        features = encoder(picture, names)
        loss = picture.new_zeros(())
        for name, weight in content_layers.items():
            target = content_targets[name]
            mean = (features[name] - target).square().mean() / target.square().mean()
            loss = loss + weights.content_weight * weight * mean
        for name, weight in style_layers.items():
            target = style_targets[name]
            mean = (gram(features[name]) - target).square().mean() / target.square().mean()
            loss = loss + weights.style_weight * weight * mean
        across = (picture[..., 1:] - picture[..., :-1]).abs().mean()
        down = (picture[..., 1:, :] - picture[..., :-1, :]).abs().mean()
        loss = loss + weights.tv_weight * (across + down)
        loss.backward()  # type: ignore[no-untyped-call]
        done += 1
        return loss

    while done < steps:
        optimizer.param_groups[0]["max_iter"] = min(20, steps - done)
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return picture.detach().clamp(0, 1)


def ours(encoder: Encoder, content: Tensor, painting: Tensor, weights: LossWeights, steps: int) -> Tensor:
    """The same task solved by segnst, as ``segnst optimize`` does it."""

    def build(size: tuple[int, int]) -> Objective:
        scale = max(size) / max(content.shape[-2:])
        small = resized(painting, (round(painting.shape[-2] * scale), round(painting.shape[-1] * scale)))
        return Objective(encoder, weights, resized(content, size), [StyleRegion([(small, 1.0)])])

    return optimize(build, content, OptimizeSettings(steps=steps, losses=weights)).picture


def _timed(work: Callable[[], Tensor]) -> tuple[Tensor, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    picture = work()
    return picture, time.perf_counter() - wall, time.process_time() - cpu


def measure(
    load: Callable[[], Encoder],
    content: Tensor,
    painting: Tensor,
    *,
    steps: int = 300,
    repeats: int = 1,
    weights: LossWeights = LossWeights(),  # noqa: B008 - frozen
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Run both in turn, ``repeats`` times; report wall-clock and processor seconds, and the losses at full size.

    load      returns a new encoder; it is called once for each method, as the two use different memory layouts
    painting  [1,3,h,w], at the scale at which its strokes should appear in the content picture
    """
    plain, fast = load(), load().to(memory_format=torch.channels_last)
    judge = Objective(plain, weights, content, [StyleRegion([(painting, 1.0)])])
    methods: Mapping[str, Callable[[], Tensor]] = {
        "reference": lambda: reference(plain, content, painting, weights, steps),
        "segnst": lambda: ours(fast, content, painting, weights, steps),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, work in methods.items():
            picture, wall, cpu = _timed(work)
            with torch.no_grad():
                total, terms = judge(picture)
            figures = {"seconds": wall, "cpu_seconds": cpu, "total": float(total)}
            figures |= {n: float(terms[n]) for n in ("content", "style", "tv")}
            runs[name].append(figures)
            report(f"{name}: " + "  ".join(f"{k} {v:.4g}" for k, v in figures.items()))
    mean = {name: {k: sum(r[k] for r in of) / len(of) for k in of[0]} for name, of in runs.items()}
    return {
        "size": [content.shape[-1], content.shape[-2]],
        "steps": steps,
        "repeats": repeats,
        "encoder": plain.name,
        "threads": torch.get_num_threads(),
        "runs": runs,
        "mean": mean,
        "time_ratio": mean["segnst"]["seconds"] / mean["reference"]["seconds"],
        "cpu_ratio": mean["segnst"]["cpu_seconds"] / mean["reference"]["cpu_seconds"],
        "loss_ratio": mean["segnst"]["total"] / mean["reference"]["total"],
    }
