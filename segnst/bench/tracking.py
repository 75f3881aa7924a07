"""How well an object is followed from the true mask of the first frame: J and F of all later ones (DAVIS 2016)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from segnst import registry
from segnst.assembly import versions
from segnst.bench.boundary import boundary_f
from segnst.bench.clips import BenchClip
from segnst.errors import InputError
from segnst.segmentation.networks.deeplab import load_bundled
from segnst.segmentation.objects.tracker import Mark
from segnst.segmentation.objects.tracking import TrackCarry, TrackingSegmenter
from segnst.video.read import open_reader

FORMAT = "segnst-tracking-1"


def follow_clip(
    clip: BenchClip, *, device: torch.device, frames: int | None = None, progress: Callable[..., None] | None = None
) -> dict[str, Any]:
    """Follow the object of a clip: a folder with ``NAME_mask.png`` beside each frame.

    Returns ``{"frames", "j", "f", "j_last", "seconds_a_frame", "per_frame": {"j", "f", "confidence"}}``. The
    first frame, whose mask is given, is left out of them, except of the seconds. Raises InputError.
    """
    if not clip.objects:
        raise InputError(f"{clip.path} has no masks (NAME_mask.png beside each frame) to follow and to compare with.")
    segmenter: TrackingSegmenter | None = None
    carry: TrackCarry | None = None
    j, f = [], []
    seconds = 0.0
    with open_reader(clip.path) as reader:
        for number, frame in enumerate(reader):
            if frames is not None and number > frames:
                break
            size = (reader.height, reader.width)
            true = clip.true_mask(number, (), size)
            assert true is not None
            if segmenter is None:
                guide = load_bundled("deeplab", device=device)
                flow = registry.get(registry.FLOWS, "dis", "optical flow")(device=device, offline=True)
                load = registry.get(registry.SELECTORS, "grabcut", "selector")
                selector = load("grabcut", device=device, offline=True)
                segmenter = TrackingSegmenter([Mark("object", 0, mask=true)], selector, guide, flow)
            began = time.perf_counter()
            found, carry = segmenter(frame.rgb, carry)
            seconds += time.perf_counter() - began
            if number:
                ours, theirs = (found[0, 1] > 0.5).cpu().numpy(), (true[0, 0] > 0.5).numpy()
                union = int((ours | theirs).sum())
                j.append(int((ours & theirs).sum()) / union if union else 1.0)
                f.append(boundary_f(ours, theirs))
            if progress is not None:
                progress(number + 1, reader.frames_expected)
    if not j or carry is None:
        raise InputError(f"{clip.path} has one frame: there is nothing to follow.")
    return {
        "frames": len(j),
        "size": list(size),
        "j": float(np.mean(j)),
        "f": float(np.mean(f)),
        "j_last": j[-1],
        "seconds_a_frame": round(seconds / (len(j) + 1), 3),
        "per_frame": {
            "j": [round(v, 4) for v in j],
            "f": [round(v, 4) for v in f],
            "confidence": [round(c[0], 4) for c in carry.confidence[1:]],
        },
    }


def follow_clips(
    clips: Sequence[BenchClip],
    *,
    device: torch.device,
    frames: int | None = None,
    progress: Callable[..., None] | None = None,
) -> dict[str, Any]:
    """Follow the object of each clip; J and F are means over sequences."""
    found = {c.name: follow_clip(c, device=device, frames=frames, progress=progress) for c in clips}
    mean = {key: float(np.mean([r[key] for r in found.values()])) for key in ("j", "f", "seconds_a_frame")}
    return {"format": FORMAT, "versions": versions(), "clips": found, "mean": mean}


def table(report: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| sequence | frames | J (mean IoU) | F (boundary) | J of the last frame | s a frame |",
        "|---|---|---|---|---|---|",
    ]
    for name, r in report["clips"].items():
        lines.append(
            f"| {name} | {r['frames']} | {r['j']:.3f} | {r['f']:.3f} | {r['j_last']:.3f} | {r['seconds_a_frame']:.2f} |"
        )
    mean = report["mean"]
    seconds = mean["seconds_a_frame"]
    lines.append(f"| **mean** | | **{mean['j']:.3f}** | **{mean['f']:.3f}** | | {seconds:.2f} |")
    return "\n".join(lines)
