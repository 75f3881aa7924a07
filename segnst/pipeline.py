"""All stages of a frame: segment, smooth the masks, stylize, stabilize, compose.

Everything that earlier frames contribute is passed along in ``State``, so that a clip processed in pieces equals the
clip processed in one go. At a scene cut the state starts afresh.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from segnst.errors import PlanError, did_you_mean
from segnst.filters import LUMA
from segnst.flow.base import FlowEstimator, estimate_motion
from segnst.matting import separate
from segnst.plan import BACKGROUND, Entry, Plan
from segnst.segmentation.base import AnySegmenter, SegmenterCarry, resolve
from segnst.stabilize.cuts import CutCarry, is_cut
from segnst.stabilize.masks import Edge, MaskCarry, merge_regions, steady_masks
from segnst.stabilize.output import AnyStabilizer, StabilizerCarry
from segnst.style.stylizer import AnyStylizer, StylizerCarry
from segnst.types import Clip, LayerMasks, Motion, Region

LEAST_SHARE = 1 / 255  # alpha below which a layer's own color changes no 8-bit pixel


@dataclass(frozen=True, slots=True)
class State:
    """What the next frame needs from earlier frames, one field per stage. ``State()`` is for the first frame."""

    began: float | None = None  # seconds of the run's first frame
    previous: Tensor | None = None  # [1,3,H,W], for the flow
    scene: CutCarry | None = None
    segmenter: SegmenterCarry = None
    masks: MaskCarry | None = None
    stylizer: StylizerCarry = None
    stabilizer: StabilizerCarry = None


@dataclass(frozen=True, slots=True)
class Styled:
    """A frame after each stage; ``rgb`` is the result."""

    rgb: Tensor  # [1,3,H,W]
    painted: Tensor  # before stabilizing
    cover: Tensor  # what the layers lay over the source, each where its mask is
    masks: LayerMasks | None
    motion: Motion | None
    cut: bool


def plan_regions(plan: Plan, segmenter: AnySegmenter) -> tuple[tuple[Region, ...], ...]:
    """Regions of each layer but the background.

    Raises PlanError for an unknown region (with the nearest name), or when two layers claim one class.
    """
    layers: list[tuple[Region, ...]] = []
    owners: dict[int, tuple[str, Entry]] = {}
    for entry in plan.entries:
        if BACKGROUND in entry.regions:
            continue
        mine: list[Region] = []
        for name in entry.regions:
            for region in resolve(name, segmenter.regions):
                other, owner = owners.setdefault(region.index, (name, entry))
                if owner is entry:
                    mine += [region] if region not in mine else []
                elif replace(owner, regions=()) != replace(entry, regions=()):
                    raise PlanError(
                        f"'{other}' and '{name}' are the same class ({region.name}) for the segmenter "
                        f"'{segmenter.name}', so they cannot have different styles."
                    )
        layers.append(tuple(mine))
    return tuple(layers)


def covering(rgb: Tensor, steady: Tensor, masks: LayerMasks | None, keep_colors: Sequence[bool]) -> Tensor:
    """The stabilized paint with the source's colors where a layer keeps them. All [T,3,H,W] in [0,1]."""
    if not any(keep_colors):
        return steady
    luma = rgb.new_tensor(LUMA).view(1, 3, 1, 1)
    gray = (rgb + ((steady - rgb) * luma).sum(1, keepdim=True)).clamp(0, 1)
    return steady + _by_layer([float(k) for k in keep_colors], masks) * (gray - steady)


def _by_layer(values: Sequence[float], masks: LayerMasks | None) -> Tensor | float:
    """The mean of a value of each layer, weighted by the masks, at each pixel."""
    if masks is None:
        return values[0]
    return (masks.soft * masks.soft.new_tensor(values).view(1, -1, 1, 1)).sum(1, keepdim=True)


def compose(
    rgb: Tensor,
    steady: Tensor,
    masks: LayerMasks | None,
    amounts: Sequence[float],
    keep_colors: Sequence[bool] = (),
    *,
    own_colors: bool = False,
) -> Tensor:
    """Blend the source and the stabilized paint by each layer's mask and amount.

    This is the last stage, so that pixels of the source are never blended with earlier frames. All [T,3,H,W] in [0,1].
    An amount of 0 gives the source's pixels exactly. ``keep_colors`` says for each layer whether only its luminance is
    painted.

    own_colors  whether pixels that layers of different amounts share show the source's color of each layer alone, as
                far as that can be estimated (``segnst.matting.separate``), instead of the mixed color of the source
    """
    result = rgb + _by_layer(amounts, masks) * (covering(rgb, steady, masks, keep_colors) - rgb)
    return _own_colors(result, rgb, masks.soft, amounts) if own_colors and masks is not None else result


def _own_colors(result: Tensor, rgb: Tensor, soft: Tensor, amounts: Sequence[float]) -> Tensor:
    """Exchange the source's mixed colors in a composed frame for those of its single layers; unchanged off the borders.

    The source is the sum of its layers' colors F by their alpha. So sum((1 - amount) alpha F), which is what should be
    seen of it, is (1 - most) times the source plus sum((most - amount) alpha F): of the layers that are painted most,
    no color needs to be known.
    """
    most = max(amounts)
    for amount in sorted(set(amounts) - {most}):
        alpha = soft[:, [k for k, a in enumerate(amounts) if a == amount]].sum(1, keepdim=True)
        shared = (alpha > LEAST_SHARE) & (alpha < 1 - LEAST_SHARE)
        if shared.any():
            result = torch.addcmul(result, (most - amount) * alpha * shared, separate(rgb, alpha) - rgb).clamp(0, 1)
    return result


def layers_that_keep_colors(plan: Plan, everywhere: bool, regions: Sequence[str]) -> tuple[bool, ...]:
    """For each layer whether its colors are kept: all layers, or those of some regions.

    Raises PlanError when a region has no layer in the plan.
    """
    named = [r for e in plan.entries for r in e.regions]
    for region in regions:
        if region not in named:
            raise PlanError(
                f"--keep-colors-of names '{region}', which the plan does not paint.{did_you_mean(region, named)}"
            )
    return tuple(everywhere or bool(set(regions) & set(e.regions)) for e in plan.entries)


Listener = Callable[[Tensor, Styled, int], None]  # source [1,3,H,W], the frame after each stage, pts


class Pipeline:
    """Styles frames one after another. It keeps no state of the clip (see ``State``); ``seconds`` sums up each stage.

    ``listener`` may be set to something that takes every frame of a clip with its stages, in order.

    segmenter   None when the plan is one whole-frame style
    flow, stabilizer   None for no stabilization
    keep_colors   for each layer whether only its luminance is painted (``layers_that_keep_colors``)
    """

    def __init__(
        self,
        plan: Plan,
        stylizer: AnyStylizer,
        *,
        segmenter: AnySegmenter | None = None,
        flow: FlowEstimator | None = None,
        stabilizer: AnyStabilizer | None = None,
        edge: Edge = Edge(),  # noqa: B008 - frozen
        keep_colors: Sequence[bool] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        self.plan, self.stylizer, self.segmenter = plan, stylizer, segmenter
        self.flow, self.stabilizer = flow, stabilizer
        self.edge, self.keep_colors, self.device = edge, tuple(keep_colors), torch.device(device)
        self.regions = plan_regions(plan, segmenter) if segmenter else ()
        self.idle = all(e.original or e.strength == 0 for e in plan.entries)  # nothing to paint anywhere
        self.seconds: dict[str, float] = defaultdict(float)
        self.clock: Callable[[], float] = time.perf_counter  # what ``seconds`` are measured with
        self.listener: Listener | None = None

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = self.clock()
        try:
            yield
        finally:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.seconds[name] += self.clock() - began

    def _masks(self, rgb: Tensor, motion: Motion | None, state: State) -> tuple[LayerMasks | None, State]:
        if self.segmenter is None:
            return None, state
        with self._stage("segment"):
            past = state.segmenter if motion is None else self.segmenter.moved(state.segmenter, motion)
            probabilities, carry = self.segmenter(rgb, past)
            soft = merge_regions(probabilities.to(rgb.device), self.regions)
        with self._stage("masks"):
            drawn, masks = steady_masks(soft, rgb, self.edge, motion, state.masks)
        return LayerMasks(drawn, self.plan.layers), replace(state, segmenter=carry, masks=masks)

    @torch.inference_mode()
    def frame(self, rgb: Tensor, state: State, seconds: float = 0.0) -> tuple[Styled, State]:
        """One frame [1,3,H,W] in [0,1] and the state before it -> the styled frame and the state after it.

        seconds  since the first frame of the run, for styles that fade
        """
        rgb = rgb.to(self.device)
        if self.idle:
            return Styled(rgb, rgb, rgb, None, None, False), state
        with self._stage("cuts"):
            cut, scene = is_cut(rgb, state.scene)
        if cut:
            state = State(
                began=state.began, segmenter=self.segmenter.after_cut(state.segmenter) if self.segmenter else None
            )
        state = replace(state, scene=scene)
        motion = None
        if self.flow is not None and state.previous is not None:
            with self._stage("flow"):
                motion = estimate_motion(self.flow, rgb, state.previous)
        masks, state = self._masks(rgb, motion, state)
        with self._stage("stylize"):
            painted, style_carry = self.stylizer(rgb, masks, state.stylizer, seconds)
        steady, carry = painted, state.stabilizer
        if self.stabilizer is not None:
            with self._stage("stabilize"):
                steady, carry = self.stabilizer(painted, motion, carry)
        with self._stage("compose"):
            cover = covering(rgb, steady, masks, self.keep_colors)
            result = compose(rgb, cover, masks, self.stylizer.amounts, own_colors=self.edge.kind == "matte")
        state = replace(state, previous=rgb, stylizer=style_carry, stabilizer=carry)
        return Styled(result, painted, cover, masks, motion, cut), state

    def __call__(self, clip: Clip, state: State) -> tuple[Clip, State]:
        """A run of frames and the state before it -> the same frames styled and the state after it."""
        frames = []
        for rgb, pts in zip(clip.rgb.split(1), clip.pts, strict=True):  # type: ignore[no-untyped-call]
            at = float(pts * clip.time_base)
            state = replace(state, began=at) if state.began is None else state
            styled, state = self.frame(rgb, state, at - (state.began or 0.0))
            if self.listener is not None:
                self.listener(rgb, styled, pts)
            frames.append(styled.rgb.cpu())
        return replace(clip, rgb=torch.cat(frames)), state

    def run(self, clips: Iterable[Clip], state: State | None = None) -> Iterator[Clip]:
        """Style a stream of clips, passing the state from each to the next."""
        state = state or State()
        for clip in clips:
            styled, state = self(clip, state)
            yield styled
