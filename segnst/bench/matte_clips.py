"""Measures how the borders of masks are drawn, on rendered clips with exact alpha (``videos/X/alpha/``)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst import registry
from segnst.assembly import versions
from segnst.bench.clips import videos_dir
from segnst.bench.mattes import compare, mean, table
from segnst.errors import InputError
from segnst.flow.base import estimate_motion
from segnst.matting import separate
from segnst.pipeline import LEAST_SHARE
from segnst.segmentation.base import resolve
from segnst.segmentation.from_settings import load_segmenter
from segnst.stabilize.masks import Edge, MaskCarry, merge_regions, steady_masks
from segnst.types import Motion
from segnst.untrusted import exists, short
from segnst.video import images
from segnst.video.read import open_reader

FORMAT = "segnst-mattes-1"
EDGES = ("guided", "matte")
COARSE = 128  # px, long side of the exact alpha when it is reduced to what a segmenter gives
SEGMENTED, TRUE = "segmented", "true, reduced"


@dataclass(frozen=True)
class MatteClip:
    """A clip whose subject's alpha is known; ``region`` is the subject's class, ``files`` one RGBA picture a frame."""

    path: Path
    region: str
    files: tuple[Path, ...]


def find_matte(path: Path) -> MatteClip:
    """The clip at a path, with ``X/alpha/REGION/*.png`` beside ``X.mp4``. Raises InputError."""
    if not exists(path):
        raise InputError(f"The clip {short(str(path))} does not exist.")
    folders = sorted(p for p in (path.with_suffix("") / "alpha").glob("*") if p.is_dir())
    if len(folders) != 1:
        raise InputError(f"{path} is no clip with exact alpha ({path.stem}/alpha/REGION/*.png beside it).")
    return MatteClip(path, folders[0].name, tuple(images.frame_files(folders[0])))


def matte_clips(paths: Sequence[Path] = ()) -> list[MatteClip]:
    """The clips at the paths, or all rendered ones. Raises InputError."""
    found = list(paths) or [p for p in sorted(videos_dir().glob("*.mp4")) if (p.with_suffix("") / "alpha").is_dir()]
    if not found:
        raise InputError(
            f"There is no clip with exact alpha in {videos_dir()} (only a checkout of the repository has them)."
        )
    return [find_matte(path) for path in found]


def reduced(alpha: Tensor) -> Tensor:
    """Exact alpha [1,1,H,W] as a segmenter that is right about everything would give it: small and without detail."""
    height, width = alpha.shape[-2:]
    scale = COARSE / max(height, width)
    size = (max(2, round(height * scale) + 1), max(2, round(width * scale) + 1))
    return F.avg_pool2d(F.pad(F.interpolate(alpha, size, mode="area"), (1, 1, 1, 1), mode="replicate"), 3, 1)


def measure_clip(
    clip: MatteClip, *, device: torch.device, edges: Sequence[str] = EDGES, frames: int | None = None
) -> dict[str, Any]:
    """Draw the subject's mask in each way, from the segmenter's masks and from the exact alpha, reduced.

    Returns ``{"frames", "size", "rows": {"EDGE, MASKS": {metric: value, "ms", "color", "mixed"}}}``. ``ms`` is CPU time
    of drawing a frame and smoothing it over time. ``color`` is the root mean square difference, times 100, between the
    subject's color as it is estimated with the exact alpha and its own, times alpha, where alpha is a fraction;
    ``mixed`` is the same for the source's pixels. Raises InputError.
    """
    segmenter = load_segmenter("deeplab", device, offline=True)
    regions = resolve(clip.region, segmenter.regions)
    flow = registry.get(registry.FLOWS, "dis", "optical flow")(device=device, offline=True)
    found: dict[str, list[dict[str, float]]] = {}
    carries: dict[str, MaskCarry] = {}
    last: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    previous, carry, count, size = None, None, 0, (0, 0)
    for rgb, own, true in _frames(clip, device, frames):
        motion: Motion | None = None if previous is None else estimate_motion(flow, rgb, previous)
        probabilities, carry = segmenter(rgb, carry)
        exact = true[0, 0].cpu().numpy()
        small = reduced(true)
        masks = {SEGMENTED: merge_regions(probabilities, [regions]), TRUE: torch.cat((small, 1 - small), 1)}
        for edge in edges:
            for kind, soft in masks.items():
                name = f"{edge}, {kind}"
                began = time.process_time()
                drawn, carries[name] = steady_masks(soft, rgb, Edge.parse(edge), motion, carries.get(name))
                spent = time.process_time() - began
                ours = drawn[0, 0].cpu().numpy()
                row = compare(ours, exact, last.get(name)) | {"ms": 1000 * spent}
                if edge == "matte" and kind == TRUE:
                    row |= _colors(rgb, own, true)
                found.setdefault(name, []).append(row)
                last[name] = (ours, exact)
        previous, count, size = rgb, count + 1, (rgb.shape[-2], rgb.shape[-1])
    rows = {
        name: mean(each) | {k: float(np.mean([f[k] for f in each])) for k in ("ms", "color", "mixed") if k in each[0]}
        for name, each in found.items()
    }
    return {"frames": count, "size": list(size), "rows": rows}


def _frames(clip: MatteClip, device: torch.device, limit: int | None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield the frame and the subject's own color [1,3,H,W], and the exact alpha [1,1,H,W]."""
    with open_reader(clip.path) as reader:
        for frame, file in zip(reader, clip.files[:limit], strict=False):
            planes = torch.from_numpy(images.load(file).planes().copy())[None].to(device)
            if planes.shape[1] != 4 or planes.shape[-2:] != frame.rgb.shape[-2:]:
                raise InputError(f"{file} is not an RGBA picture of {reader.width}x{reader.height} pixels.")
            yield frame.rgb.to(device), planes[:, :3], planes[:, 3:]


def _colors(rgb: Tensor, own: Tensor, true: Tensor) -> dict[str, float]:
    shared = (true > LEAST_SHARE) & (true < 1 - LEAST_SHARE)

    def off(seen: Tensor) -> float:
        apart = ((seen - own * true) * shared).square().mean(1, keepdim=True)
        return 100 * float((apart.sum() / shared.sum().clamp_min(1)).sqrt())

    return {"color": off(separate(rgb, true) * true), "mixed": off(rgb * true)}


def measure_mattes(
    clips: Sequence[MatteClip],
    *,
    device: torch.device,
    edges: Sequence[str] = EDGES,
    frames: int | None = None,
    progress: Callable[..., None] | None = None,
) -> dict[str, Any]:
    """Measure each clip; the mean is over clips."""
    found: dict[str, Any] = {}
    for number, clip in enumerate(clips):
        found[clip.path.stem] = measure_clip(clip, device=device, edges=edges, frames=frames)
        if progress is not None:
            progress(number + 1, len(clips))
    names = next(iter(found.values()))["rows"]
    average = {
        name: {key: float(np.mean([c["rows"][name][key] for c in found.values()])) for key in names[name]}
        for name in names
    }
    return {"format": FORMAT, "versions": versions(), "clips": found, "mean": average}


def markdown(report: dict[str, Any]) -> str:
    """The figures as Markdown tables: the mean, then each clip."""
    parts = {"mean": report["mean"]} | {name: clip["rows"] for name, clip in report["clips"].items()}
    texts = [f"**{name}**\n\n{table(rows, ('color', 'mixed', 'ms'))}" for name, rows in parts.items()]
    return "\n\n".join(texts) + "\n"
