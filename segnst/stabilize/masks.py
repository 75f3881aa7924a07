"""Soft layer masks: from the segmenter's probabilities to what composing needs, steady and with clean edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d, guided_blur
from torch import Tensor

from segnst.errors import UsageError
from segnst.flow.warp import scaled_flow, warp
from segnst.matting import refine
from segnst.types import Motion, Region

KEEP_SEEN = 0.9  # share of the past in the segmenter's masks, where flow is fully reliable
KEEP_DRAWN = 0.9  # the same for the masks at the frame's size, after their edges are drawn
KINDS = ("guided", "matte", "feather", "hard", "threshold", "exact")
SHOWS = 0.02  # probability that a layer must reach somewhere, so that its border is drawn


@dataclass(frozen=True, slots=True)
class Edge:
    """How the border between layers is drawn.

    matte        fractions of each pixel from its colors and those nearby (segnst.matting), and colors without those of
                 the other side where a layer stays original
    guided       follows the edges of the frame (He 2010, guided filter); the default
    feather:PX   the borders of the hard mask, blurred over PX pixels
    hard         every pixel belongs to its most probable layer
    threshold:X  as hard, but a named region only where its probability is above X (higher: tighter)
    exact        the masks as they come, neither drawn nor smoothed over time; for masks that are good already
    """

    kind: str = "guided"
    value: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Edge:
        """Read ``guided``, ``matte``, ``feather:PX``, ``hard``, ``threshold:X`` or ``exact``. Raises UsageError."""
        kind, colon, value = text.partition(":")
        if kind not in KINDS:
            raise UsageError(
                f"There is no edge '{text}'. Choose guided, matte, feather:PX, hard, threshold:X or exact."
            )
        if (kind in ("feather", "threshold")) != bool(colon):
            raise UsageError(f"The edge '{text}' should be guided, matte, feather:PX, hard, threshold:X or exact.")
        try:
            number = float(value) if colon else 0.0
        except ValueError:
            raise UsageError(f"The edge '{text}' needs a number, got '{value}'.") from None
        if kind == "feather" and not 0 < number <= 200:
            raise UsageError(f"The edge '{text}' needs a width between 0 and 200 px.")
        if kind == "threshold" and not 0 < number < 1:
            raise UsageError(f"The edge '{text}' needs a probability between 0 and 1.")
        return cls(kind, number)


def merge_regions(probabilities: Tensor, layers: Sequence[Sequence[Region]]) -> Tensor:
    """Sum the probabilities of each layer's regions; what is left over belongs to the last layer.

    [T,K,h,w] summing to 1 over K -> [T,L,h,w] summing to 1 over L. ``layers`` names regions for all but the last.
    """
    named = [probabilities[:, [r.index for r in regions]].sum(1) for regions in layers]
    merged = (
        torch.stack(named, 1) if named else probabilities.new_zeros(len(probabilities), 0, *probabilities.shape[2:])
    )
    rest = (1 - merged.sum(1, keepdim=True)).clamp(0, 1)
    return torch.cat((merged, rest), 1)


def smooth(soft: Tensor, past: Tensor | None, motion: Motion | None, keep: float, mode: str = "bilinear") -> Tensor:
    """One step of smoothing along the flow: exponential mean of the masks of the past, where flow is reliable.

    soft [1,L,h,w] of this frame, past [1,L,h,w] of the last; ``keep`` in [0,1) is the share of the past.
    ``motion`` has the frame's size; masks keep their own. ``mode`` is how the past is warped.
    """
    if past is None or motion is None or keep == 0:
        return soft
    flow, reliable = motion.flow, motion.reliable
    (height, width), (full_height, full_width) = soft.shape[-2:], flow.shape[-2:]
    if (height, width) != (full_height, full_width):
        flow = scaled_flow(flow, (height, width))
        reliable = F.interpolate(reliable, (height, width), mode="bilinear", align_corners=False)
    return torch.lerp(soft, warp(past, flow, mode), keep * reliable)


@dataclass(frozen=True, slots=True)
class MaskCarry:
    """The last frame's smoothed masks: at the segmenter's size [1,L,h,w] and with their edges drawn [1,L,H,W]."""

    soft: Tensor
    drawn: Tensor


def steady_masks(
    soft: Tensor, rgb: Tensor, edge: Edge, motion: Motion | None, carry: MaskCarry | None
) -> tuple[Tensor, MaskCarry]:
    """Smooth the masks of a frame over time, twice: as the segmenter gives them, and after their edges are drawn.

    soft [1,L,h,w], rgb [1,3,H,W] -> ([1,L,H,W] summing to 1 over L, carry). The second smoothing removes the jitter of
    edges that follow the noise of each frame; hard edges skip it, because it would soften them.
    """
    if edge.kind == "exact":
        drawn = draw_edges(soft, rgb, edge)
        return drawn, MaskCarry(soft, drawn)
    soft = smooth(soft, carry.soft if carry else None, motion, KEEP_SEEN)
    drawn = draw_edges(soft, rgb, edge)
    if carry and edge.kind in ("matte", "guided", "feather"):
        drawn = smooth(drawn, carry.drawn, motion, KEEP_DRAWN, "bicubic").clamp(0, 1)
        drawn = drawn / drawn.sum(1, keepdim=True).clamp_min(1e-6)
    return drawn, MaskCarry(soft, drawn)


def draw_edges(soft: Tensor, rgb: Tensor, edge: Edge) -> Tensor:
    """Masks at the frame's size: [T,L,h,w] and RGB [T,3,H,W] -> [T,L,H,W], summing to 1 over L."""
    height, width = rgb.shape[-2:]
    layers = soft.shape[1]
    if edge.kind == "matte":
        return _mattes(soft, rgb)
    # align_corners, because the corner pixels of a segmenter's output lie on those of the frame
    full = F.interpolate(soft, (height, width), mode="bilinear", align_corners=True)
    if edge.kind == "threshold":
        full = torch.cat((full[:, :-1] * (full[:, :-1] > edge.value), full[:, -1:]), 1)
        # where no named layer is above the threshold, the pixel belongs to the last layer
        full = torch.cat((full[:, :-1], torch.where(full[:, :-1].amax(1, keepdim=True) > 0, 0.0, 1.0)), 1)
    if edge.kind in ("hard", "threshold", "feather"):
        full = F.one_hot(full.argmax(1), layers).permute(0, 3, 1, 2).to(soft.dtype)
    if edge.kind == "feather":
        size = 2 * round(edge.value) + 1
        size = min(size, 2 * (min(height, width) // 2) - 1)
        full = gaussian_blur2d(full, (size, size), (edge.value / 2, edge.value / 2), border_type="replicate")
    if edge.kind == "guided":
        # sharpen first: a network that works at an eighth of the resolution blurs its borders over many pixels
        full = torch.softmax(3.0 * (full.clamp_min(1e-6)).log(), 1)
        radius = max(2, round(min(height, width) / 60))
        gray = rgb.mean(1, keepdim=True)
        # Computed on every second pixel (He 2015), which takes a ninth of the time and changes the mask along edges by
        # 0.02 in the mean.
        full = guided_blur(gray, full, 2 * radius + 1, 1e-3, border_type="replicate", subsample=2).clamp(0, 1)
    return full / full.sum(1, keepdim=True).clamp_min(1e-6)


def _mattes(soft: Tensor, rgb: Tensor) -> Tensor:
    """Each layer against all others. Of two layers, the second is what the first leaves over."""
    layers = soft.shape[1]
    drawn = []
    for layer in soft.split(1, 1)[: 1 if layers == 2 else layers]:  # type: ignore[no-untyped-call]
        if layer.max() > SHOWS and layer.min() < 1 - SHOWS:
            drawn.append(refine(layer, rgb))
        else:  # it is nowhere, or everywhere
            drawn.append((layer.mean() > 0.5).to(rgb.dtype).expand(len(rgb), 1, *rgb.shape[-2:]))
    full = torch.cat(drawn, 1)
    if layers == 2:
        return torch.cat((full, 1 - full), 1)
    # what no layer takes goes to those that are probable there
    probable = F.interpolate(soft, rgb.shape[-2:], mode="bilinear", align_corners=True)
    full = full + (1 - full.sum(1, keepdim=True)).clamp_min(0) * probable
    return full / full.sum(1, keepdim=True)
