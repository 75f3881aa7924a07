"""A stylizer for the pipeline that optimizes each frame instead of running a network: for stills and short videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import InputError
from segnst.flow.base import FlowEstimator, estimate_motion
from segnst.flow.warp import warp
from segnst.perceptual.encoders import Encoder
from segnst.perceptual.objective import Objective, StyleRegion
from segnst.plan import ORIGINAL, Plan
from segnst.style.optimization import Losses, Optimized, Watch, optimize, resized
from segnst.style.optimization_settings import OptimizeSettings
from segnst.style.stylizer import Stylizer
from segnst.types import LayerMasks

Painted = tuple[str, list[tuple[Tensor, float]], Tensor | None]  # name, paintings with weights, mask

LEAST_SHARE = 1e-3  # share of the picture that a region must cover to be painted


def match_colors(painting: Tensor, content: Tensor, mask: Tensor | None = None) -> Tensor:
    """The painting with the mean and the covariance of the content's colors (Gatys 2016, arXiv 1606.05897, eq. 1–5).

    Both [1,3,h,w] in [0,1]; mask [1,1,H,W] weights the content's pixels. The linear map is Σ_c^(1/2) Σ_s^(-1/2), with
    symmetric square roots.
    """

    def moments(rgb: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        share = (weight / weight.sum().clamp_min(1e-9)).flatten()
        flat = rgb[0].flatten(1).double()
        mean = flat @ share.double()
        centered = flat - mean[:, None]
        return mean, (centered * share) @ centered.T + 1e-5 * torch.eye(3, dtype=torch.double, device=rgb.device)

    def power(matrix: Tensor, exponent: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        result: Tensor = (vectors * values.clamp_min(1e-9) ** exponent) @ vectors.T
        return result

    mean_c, cov_c = moments(content, torch.ones_like(content[:, :1]) if mask is None else mask)
    mean_s, cov_s = moments(painting, torch.ones_like(painting[:, :1]))
    change = power(cov_c, 0.5) @ power(cov_s, -0.5)
    flat = change @ (painting[0].flatten(1).double() - mean_s[:, None]) + mean_c[:, None]
    return flat.to(painting.dtype).reshape(painting.shape).clamp(0, 1)


@dataclass(frozen=True, slots=True)
class OptimizedCarry:
    """The last frame and its painting, [1,3,H,W]."""

    rgb: Tensor
    painted: Tensor


class OptimizingStylizer(Stylizer[OptimizedCarry]):
    """Paints a frame by optimization: all regions in one picture, each after its own paintings (guided Gram matrices).

    paintings   {style of the plan: RGB [1,3,h,w]}
    flow        for video: a frame starts from the warped painting of the last one, and a temporal loss keeps it close
                to that where the flow is reliable
    match       give the paintings the colors of the region they are for
    demand      raise InputError where a named region is not in the first frame
    watch       called after every step
    ``results`` holds the losses of every step, for each frame.
    """

    def __init__(
        self,
        plan: Plan,
        paintings: Mapping[str, Tensor],
        encoder: Encoder,
        settings: OptimizeSettings,
        *,
        flow: FlowEstimator | None = None,
        match: bool = False,
        demand: bool = True,
        watch: Watch | None = None,
    ) -> None:
        self.plan, self.paintings, self.encoder, self.settings = plan, paintings, encoder, settings
        super().__init__([0.0 if e.original else e.strength for e in plan.entries])
        self.flow, self.match, self.demand, self.watch = flow, match, demand, watch
        self.results: list[list[Losses]] = []
        self.current: tuple[Tensor, LayerMasks | None] = (torch.empty(0), None)  # the frame being painted
        self.expected = settings.steps  # steps it takes at most
        self.converged = False
        self._painted: list[Painted] = []
        self._seen: set[str] = set()
        encoder.pooling = settings.pooling

    def never_seen(self) -> list[str]:
        """A warning for each layer that should have been painted and was in no frame."""
        wanted = [e.name for e in self.plan.entries if not e.original and e.strength > 0]
        return [f"No frame had '{name}' in it." for name in wanted if name not in self._seen]

    def _regions(self, rgb: Tensor, masks: LayerMasks | None) -> list[Painted]:
        """The layers that are to be painted and occur in this frame. Raises InputError (see ``demand``)."""
        found = []
        for k, entry in enumerate(self.plan.entries):
            mask = None if masks is None else masks.soft[:, k : k + 1]
            if mask is not None and float(mask.mean()) < LEAST_SHARE:
                if self.demand and not self.results and entry.regions and k < len(self.plan.entries) - 1:
                    raise InputError(
                        f"The segmenter finds no '{entry.name}' in the picture, so there is nothing to paint there. "
                        "Name another region (see `segnst classes`) or another --segmenter."
                    )
                continue
            if entry.original or entry.strength == 0:
                continue
            terms = [(t.style, t.weight) for t in entry.styles if t.style != ORIGINAL]
            whole = sum(w for _, w in terms)
            mine = [(self.paintings[s].to(rgb), w / whole) for s, w in terms]
            if self.match:
                mine = [(match_colors(p, rgb, mask), w) for p, w in mine]
            self._seen.add(entry.name)
            found.append((entry.name if masks is not None else "", mine, mask))
        return found

    def _builder(
        self, rgb: Tensor, masks: LayerMasks | None, last: Tensor | None, reliable: Tensor | None
    ) -> Callable[[tuple[int, int]], Objective]:
        regions = self._regions(rgb, masks)
        self._painted = regions

        def build(size: tuple[int, int]) -> Objective:
            sized = []
            for name, paintings, mask in regions:
                small = [(self._painting_at(p, size), w) for p, w in paintings]
                here = None if mask is None else F.interpolate(mask, size, mode="area")
                sized.append(StyleRegion(small, here, name))
            before = resized(last, size) if last is not None else None
            trust = F.interpolate(reliable, size, mode="area") if reliable is not None else None
            return Objective(self.encoder, self.settings.losses, resized(rgb, size), sized, last=before, reliable=trust)

        return build

    def _painting_at(self, painting: Tensor, size: tuple[int, int]) -> Tensor:
        scale = self.settings.style_scale * max(size) / max(painting.shape[-2:])
        height, width = (max(1, round(x * scale)) for x in painting.shape[-2:])
        return resized(painting, (height, width))

    def _start(self, rgb: Tensor) -> Tensor:
        if self.settings.init == "content":
            return rgb
        if self.settings.init == "noise":
            generator = torch.Generator().manual_seed(self.settings.seed)
            return (0.5 + 0.15 * torch.randn(rgb.shape, generator=generator)).clamp(0, 1).to(rgb)
        start = torch.zeros_like(rgb)
        for _, paintings, mask in self._painted:
            start += (1.0 if mask is None else mask) * _cover(paintings[0][0], (rgb.shape[-2], rgb.shape[-1]))
        return start.clamp(0, 1)

    def __call__(
        self, rgb: Tensor, masks: LayerMasks | None, carry: OptimizedCarry | None = None, seconds: float = 0.0
    ) -> tuple[Tensor, OptimizedCarry]:
        # the pipeline runs in inference mode, and tensors made there cannot take part in a gradient: hence the clones
        with torch.inference_mode(False), torch.enable_grad():
            rgb = rgb.clone()
            if masks is not None:
                masks = LayerMasks(masks.soft.clone(), masks.layers)
            self.current = (rgb, masks)
            result = self._paint(rgb, masks, carry)
        painted = result.picture
        if masks is not None:
            left = sum(
                (masks.soft[:, k : k + 1] for k, e in enumerate(self.plan.entries) if e.original), torch.zeros_like(rgb)
            )
            painted = torch.lerp(painted, rgb, left)
        self.results.append(result.losses)
        self.converged = result.converged
        return painted, OptimizedCarry(rgb, painted)

    def _paint(self, rgb: Tensor, masks: LayerMasks | None, carry: OptimizedCarry | None) -> Optimized:
        settings = self.settings
        last = reliable = None
        if carry is not None and self.flow is not None:
            motion = estimate_motion(self.flow, rgb, carry.rgb)
            last = warp(carry.painted, motion.flow, "bicubic").clamp(0, 1)
            reliable = motion.reliable
        build = self._builder(rgb, masks, last, reliable)
        if not self._painted:
            return Optimized(rgb, [], True)
        if last is None or reliable is None:
            self.expected = settings.steps
            return optimize(build, self._start(rgb), settings, watch=self.watch)
        self.expected = steps = settings.frame_steps or max(1, settings.steps // 4)
        # the warped picture already has its strokes and only uncovered places are new: one scale and fewer steps do
        return optimize(build, torch.lerp(rgb, last, reliable), settings, steps=steps, scales=1, watch=self.watch)


def _cover(painting: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of a painting [1,3,h,w], scaled to fill (H, W)."""
    scale = max(s / p for s, p in zip(size, painting.shape[-2:], strict=True))
    height, width = (max(s, round(p * scale)) for s, p in zip(size, painting.shape[-2:], strict=True))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return resized(painting, (height, width))[..., top : top + size[0], left : left + size[1]]
