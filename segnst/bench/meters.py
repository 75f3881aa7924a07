"""Accumulates the figures of each method while a clip runs through once."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from segnst.bench.measure import LONG, Pair
from segnst.bench.metrics import (
    BANDS,
    band_energies,
    edge_band,
    excess,
    luminance,
    mask_flicker,
    mask_iou,
    masked_mean,
    sharpness,
    squared_difference,
)

Figures = dict[str, float | None]
SOURCE, PER_FRAME, OURS = "source", "per-frame", "segnst"
EDGES = "edges"  # names the band around mask edges among the regions


@dataclass(frozen=True)
class Step:
    """What all methods are compared with at one frame.

    painted   [1,3,H,W], the frame as per-frame styling paints it
    fresh     whether a shot begins here, so that nothing is compared with the previous frame
    cut       whether a scene cut was detected here or is known from the truth (never on the first frame)
    pair      optical flow to the previous frame; long  to the frame ``LONG`` frames earlier
    ghosts    recently uncovered pixels and never occluded pixels, each [1,1,H,W] of 0 and 1
    regions   {name: [1,1,H,W] of 0 and 1}; errors are measured inside each of them as well
    """

    painted: Tensor
    fresh: bool
    cut: bool = False
    pair: Pair | None = None
    long: Pair | None = None
    ghosts: tuple[Tensor, Tensor] | None = None
    regions: Mapping[str, Tensor] = field(default_factory=dict)


def mean(values: Sequence[float]) -> float | None:
    """The mean, or None where there are no values."""
    return float(np.mean(values)) if len(values) else None


class Meter:
    """The figures of one method (or of the source) on one clip. Frames must come in order."""

    def __init__(self) -> None:
        self.errors: dict[str, list[float]] = defaultdict(list)
        self.series: list[float | None] = []  # E_warp of each frame against the previous one
        self.energies = np.zeros(len(BANDS))
        self.laplacian: list[float] = []
        self.steps: list[float] = []  # change of mean luminance
        self.bleed: list[float] = []
        self._ghosts = np.zeros((2, 2))  # (uncovered, never) x (sum, pixels)
        self._history: deque[Tensor] = deque(maxlen=LONG)
        self._luma: float | None = None

    def add(self, rgb: Tensor, step: Step) -> None:
        """Measure one frame [1,3,H,W] in [0,1]."""
        if step.fresh:
            self._history.clear()
            self._luma = None
        if step.cut:
            self.bleed.append(float((rgb - step.painted).abs().max()))
        error = None
        if self._history and step.pair is not None:
            error = self._pair(rgb, step.pair, step.regions)
        self.series.append(error)
        if step.long is not None and len(self._history) == LONG:
            far = masked_mean(squared_difference(rgb, self._history[0], step.long.flow), step.long.valid)
            if far is not None:
                self.errors["long_range"].append(far)
        if step.ghosts is not None:
            off = (rgb - step.painted).abs().mean(1, keepdim=True)
            for k, mask in enumerate(step.ghosts):
                self._ghosts[k] += float((off * mask).sum()), float(mask.sum())
        luma = float(luminance(rgb).mean())
        if self._luma is not None:
            self.steps.append(luma - self._luma)
        self._luma = luma
        self.energies += band_energies(rgb)
        self.laplacian.append(sharpness(rgb))
        self._history.append(rgb)

    def _pair(self, rgb: Tensor, pair: Pair, regions: Mapping[str, Tensor]) -> float | None:
        difference = squared_difference(rgb, self._history[-1], pair.flow)
        error = masked_mean(difference, pair.valid)
        if error is None:
            return None
        self.errors["e_warp"].append(error)
        self.errors["ruder"].append(float((difference * pair.valid).sum()) / rgb.numel())
        for name, region in regions.items():
            inside = masked_mean(difference, pair.valid * region)
            if inside is not None:
                self.errors[f"e_warp[{name}]"].append(inside)
        return error

    def ghosts(self) -> float | None:
        """Mean |output − per-frame| on recently uncovered pixels, divided by that on never occluded pixels.

        None where there are no such pixels, or where the divisor is close to 0.
        """
        (recent, recent_count), (never, never_count) = self._ghosts
        if recent_count < 1 or never_count < 1 or never / never_count < 1e-6:
            return None
        return float((recent / recent_count) / (never / never_count))

    def pumping(self, source: Meter) -> float | None:
        """Standard deviation of (change of mean luminance − the source's change)."""
        count = min(len(self.steps), len(source.steps))
        return float(np.std(np.subtract(self.steps[:count], source.steps[:count]))) if count > 1 else None


def ratio(value: float | None, reference: float | None, least: float = 1e-9) -> float | None:
    """value / reference, or None where either is missing or the reference is at most ``least``."""
    return None if value is None or reference is None or reference <= least else value / reference


def figures(name: str, meters: Mapping[str, Meter]) -> Figures:
    """All figures of one method, by name.

    meters  of all methods, with the source as the floor and per-frame styling as the ceiling
    """
    meter, floor, ceiling = meters[name], meters[SOURCE], meters[PER_FRAME]
    result: Figures = {key: mean(values) for key, values in meter.errors.items()}
    result["e_stab"] = None if result.get("ruder") is None else float(result["ruder"] or 0) ** 0.5
    for key in [k for k in result if k == "long_range" or k.startswith("e_warp")]:
        low, high = mean(floor.errors[key]), mean(ceiling.errors[key])
        word = "long_excess" if key == "long_range" else key.replace("e_warp", "excess")
        result[word] = excess(result[key], low, high)
    result["ratio"] = ratio(result.get("e_warp"), mean(ceiling.errors["e_warp"]))
    for band, mine, theirs in zip(BANDS, meter.energies, ceiling.energies, strict=True):
        kept = ratio(float(mine), float(theirs), 1e-12)
        result[f"sharp[{band}]"] = None if kept is None else kept**0.5
    result["sharpness"] = ratio(mean(meter.laplacian), mean(ceiling.laplacian), 1e-12)
    result["pumping"] = ratio(meter.pumping(floor), ceiling.pumping(floor), 1e-6)
    if name != SOURCE:
        result["ghosts"] = meter.ghosts()
        result["cut_bleed"] = max(meter.bleed) if meter.bleed else None
    return result


class MaskMeter:
    """Measures how steady a mask is over time, and how well it agrees with the true mask."""

    def __init__(self) -> None:
        self.flicker: list[float] = []
        self.nearest: list[float] = []
        self.iou: list[float] = []
        self._last: Tensor | None = None

    def add(self, mask: Tensor, true: Tensor | None, pair: Pair | None) -> None:
        """Measure the soft mask [1,1,H,W] of one frame.

        true  the true mask [1,1,H,W], or None where it is not known
        pair  optical flow to the previous frame, or None where a shot begins
        """
        if pair is not None and self._last is not None:
            values = mask_flicker(mask, self._last, pair.flow, pair.valid)
            if values is not None:
                self.flicker.append(values[0])
                self.nearest.append(values[1])
        if true is not None:
            value = mask_iou((mask > 0.5).float(), true)
            self.iou += [] if value is None else [value]
        self._last = mask

    def figures(self) -> Figures:
        """``mask_flicker``, ``mask_flicker_nearest`` and ``mask_iou``; None where nothing could be measured."""
        return {
            "mask_flicker": mean(self.flicker),
            "mask_flicker_nearest": mean(self.nearest),
            "mask_iou": mean(self.iou),
        }


def layer_regions(soft: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """One region for each layer (the pixels where it is the likeliest), and the band of 8 px around their edges.

    soft [1,L,H,W] summing to 1 over L -> {name: [1,1,H,W] of 0 and 1}.
    """
    hard = torch.nn.functional.one_hot(soft.argmax(1), len(layers)).permute(0, 3, 1, 2).to(soft.dtype)
    return {name: hard[:, k : k + 1] for k, name in enumerate(layers)} | {EDGES: edge_band(hard)}
