"""``segnst bench stability``: per-frame styling against stabilised, on frames before encoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segnst import registry
from segnst.bench.metrics import mask_flicker, sharpness, valid_pixels, warping_error
from segnst.config import Settings
from segnst.errors import InputError
from segnst.flow.base import FlowEstimator
from segnst.flow.raft import RaftFlow
from segnst.pipeline import State
from segnst.run import build, weights_used
from segnst.video.read import open_reader


class Meter:
    """Running means of one method: E_warp, sharpness, mask flicker."""

    def __init__(self) -> None:
        self.previous: tuple[Tensor, Tensor | None] | None = None
        self.errors: list[float] = []
        self.sharp: list[float] = []
        self.flicker: list[float] = []

    def add(self, rgb: Tensor, mask: Tensor | None, flow: Tensor | None, valid: Tensor | None) -> None:
        if self.previous is not None and flow is not None and valid is not None:
            past, past_mask = self.previous
            self.errors.append(warping_error(rgb, past, flow, valid))
            if mask is not None and past_mask is not None:
                self.flicker.append(mask_flicker(mask, past_mask, flow, valid))
        self.sharp.append(sharpness(rgb))
        self.previous = (rgb, mask)

    def as_dict(self) -> dict[str, float]:
        values = {"e_warp": self.errors, "sharpness": self.sharp, "mask_flicker": self.flicker}
        return {name: sum(v) / len(v) for name, v in values.items() if v}


def measuring_flow(weights: Path | None, device: torch.device, *, offline: bool) -> FlowEstimator:
    """RAFT, from a file or fetched."""
    if weights is not None:
        return RaftFlow(weights, device)
    flow: FlowEstimator = registry.get(registry.FLOWS, "raft", "optical flow")(device=device, offline=offline)
    return flow


@torch.inference_mode()
def measure_clip(
    path: Path,
    settings: Settings,
    *,
    raft: Path | None = None,
    frames: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:
    """Figures for one clip: the source (floor), per-frame styling (ceiling) and segnst's, by the same frozen networks.

    raft    weights for the measuring flow (torchvision's are fetched otherwise); frames  stop after so many
    ``ratio`` is ours over per-frame, ``excess`` (ours − floor) / (per-frame − floor).
    Raises as ``style_video`` does.
    """
    parts = build(settings)
    ours = parts.pipeline
    plain = build(replace(settings, stabilize=False)).pipeline
    estimate = measuring_flow(raft, ours.device, offline=settings.offline)
    meters = {"source": Meter(), "per-frame": Meter(), "segnst": Meter()}
    states, previous, count = {"ours": State(), "plain": State()}, None, 0
    with open_reader(
        path, start=settings.start, end=settings.end, max_size=settings.max_size, fps=settings.fps
    ) as reader:
        for clip in reader:
            rgb = clip.rgb.to(ours.device)
            steady, states["ours"] = ours.frame(rgb, states["ours"])
            if ours.plan.whole_frame and not settings.keep_colors and ours.plan.entries[0].strength == 1:
                single, single_mask = steady.painted, None  # the same paint: no need to compute it twice
            else:
                alone, states["plain"] = plain.frame(rgb, states["plain"])
                single = alone.rgb
                single_mask = (alone.masks.soft[:, :1] > 0.5).float() if alone.masks else None
            flow = valid = None
            if previous is not None and not steady.cut:
                flow = estimate(rgb, previous)
                valid = valid_pixels(flow, estimate(previous, rgb))
            mask = (steady.masks.soft[:, :1] > 0.5).float() if steady.masks else None
            meters["source"].add(rgb, None, flow, valid)
            meters["per-frame"].add(single, single_mask, flow, valid)
            meters["segnst"].add(steady.rgb, mask, flow, valid)
            previous, count = rgb, count + 1
            if progress:
                progress(count, min(frames or count, reader.frames_expected or count))
            if frames and count >= frames:
                break
    if count < 2:
        raise InputError(f"{path} has fewer than two frames; stability cannot be measured.")
    result: dict[str, Any] = {name: meter.as_dict() for name, meter in meters.items()}
    floor, ceiling, mine = (result[n].get("e_warp", 0.0) for n in ("source", "per-frame", "segnst"))
    result |= {
        "clip": path.name,
        "frames": count,
        "plan": list(settings.styles),
        "measured_with": "raft",
        "ratio": mine / ceiling if ceiling else None,
        "excess": (mine - floor) / (ceiling - floor) if ceiling > floor else None,
        "sharpness_kept": result["segnst"]["sharpness"] / max(result["per-frame"]["sharpness"], 1e-12),
        "weights": {name: used["sha256"] for name, used in weights_used(parts).items()},
        "seconds_a_frame": {k: v / count for k, v in ours.seconds.items()},
    }
    return result


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown, a line a clip."""
    lines = [
        "| clip | frames | E_warp source | per-frame | segnst | ratio | excess | sharpness kept "
        "| mask flicker raw | steadied |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        cells = [r["clip"], str(r["frames"])]
        cells += [f"{r[n]['e_warp']:.5f}" for n in ("source", "per-frame", "segnst")]
        cells += [f"{r[k]:.3f}" if r[k] is not None else "" for k in ("ratio", "excess", "sharpness_kept")]
        cells += [f"{r[n]['mask_flicker']:.4f}" if "mask_flicker" in r[n] else "" for n in ("per-frame", "segnst")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
