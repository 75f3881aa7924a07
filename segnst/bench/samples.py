"""What a stability method receives: the frames of a clip, painted one by one, with the motion between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import tee
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from segnst import registry
from segnst.assembly import Parts, build
from segnst.config import Settings
from segnst.device import choose_device
from segnst.flow.base import FlowEstimator
from segnst.pipeline import Pipeline, State, Styled
from segnst.plan import parse_plan
from segnst.segmentation.base import Segmenter, resolve
from segnst.segmentation.from_settings import load_segmenter
from segnst.segmentation.wrapped import Wrapped
from segnst.stabilize.masks import Edge
from segnst.style.stylizer import Stylizer
from segnst.types import LayerMasks, Motion

Inner = TypeVar("Inner")


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame, as all methods receive it.

    number   counted from 0
    rgb      [1,3,H,W] the source
    painted  [1,3,H,W] per-frame styling: painted and composed without anything from other frames
    ours     what the pipeline made of it: result, stabilized masks, motion, cut
    """

    number: int
    rgb: Tensor
    painted: Tensor
    ours: Styled

    @property
    def motion(self) -> Motion | None:
        """Backward flow to the previous frame, as the pipeline estimated it; None on the first frame of a scene."""
        return None if self.ours.cut else self.ours.motion

    @property
    def cut(self) -> bool:
        """Whether the pipeline began a new scene here."""
        return self.ours.cut


@dataclass(frozen=True)
class Context:
    """What methods may use in addition to the samples.

    flow        the estimator that the pipeline uses, for motion to the next frame
    per_frame   builds a separate pipeline that styles frames one by one, with the same weights
    """

    flow: FlowEstimator
    per_frame: Callable[[], Pipeline]


class NotApplicable(Exception):  # not an error of the run: the report notes it and the other methods are measured
    """Raised by a method that cannot work with these networks; the text says why."""


# A method yields one picture [1,3,H,W] in [0,1] for each sample, in order. It may read samples ahead.
Method = Callable[[Iterator[Sample], Context], Iterator[Tensor]]


def stylize(pipeline: Pipeline, frames: Iterable[Tensor]) -> Iterator[Styled]:
    """Run the frames [1,3,H,W] of a clip through a pipeline, in order; yields all stages of each frame."""
    state = State()
    for rgb in frames:
        styled, state = pipeline.frame(rgb, state)
        yield styled


class Remembering(nn.Module):
    """A network that caches its last results, so that two pipelines over the same frames paint each frame once."""

    def __init__(self, net: nn.Module, depth: int = 4) -> None:
        super().__init__()
        self.net = net
        self._known: deque[tuple[Tensor, Tensor]] = deque(maxlen=depth)

    def forward(self, rgb: Tensor) -> Tensor:
        for known, result in self._known:
            if known.shape == rgb.shape and torch.equal(known, rgb):
                return result
        painted: Tensor = self.net(rgb)
        self._known.append((rgb.clone(), painted))
        return painted


class RememberingSegmenter(Wrapped[Inner, None], Generic[Inner]):
    """The same for a segmenter: its answer is reused for the same frame with the same carry."""

    def __init__(self, inner: Segmenter[Inner]) -> None:
        super().__init__(inner)
        self._known: deque[tuple[Tensor, Inner | None, tuple[Tensor, Inner | None]]] = deque(maxlen=4)

    def around(self, inner: Segmenter[Inner]) -> RememberingSegmenter[Inner]:
        return RememberingSegmenter(inner)

    def look(self, rgb: Tensor, inner: Inner | None, own: None) -> tuple[Tensor, Inner | None, None]:
        for known, past, result in self._known:
            if past is inner and known.shape == rgb.shape and torch.equal(known, rgb):
                return *result, None
        answer = self.inner.frame(rgb, inner)
        self._known.append((rgb.clone(), inner, answer))
        return *answer, None


def _share(ours: Pipeline, plain: Pipeline) -> None:
    """Let two pipelines use one set of networks, so that each network runs once for a frame."""
    if ours.segmenter is not None:
        ours.segmenter = plain.segmenter = RememberingSegmenter(ours.segmenter)
    mine, theirs = ours.stylizer.networks, plain.stylizer.networks
    for name in mine:
        mine[name] = theirs[name] = Remembering(mine[name])


@dataclass(frozen=True)
class Bench:
    """The pipelines behind the samples of one clip, segnst's and the per-frame one, which share their networks."""

    parts: Parts
    plain: Pipeline
    context: Context

    @classmethod
    def build(cls, settings: Settings) -> Bench:
        """Raises as ``segnst.jobs.style.build`` does."""
        alone = replace(settings, stabilize=False)
        parts, plain = build(settings), build(alone).pipeline
        _share(parts.pipeline, plain)
        device = parts.pipeline.device
        flow = parts.pipeline.flow or registry.get(registry.FLOWS, settings.flow, "optical flow")(
            device=device, offline=settings.offline
        )
        return cls(parts, plain, Context(flow, lambda: build(alone).pipeline))

    def samples(self, frames: Iterable[Tensor]) -> Iterator[tuple[Sample, Styled]]:
        """Each sample, and what the per-frame pipeline made of the frame (for its raw masks)."""
        source, mine, theirs = tee(frames, 3)
        ours = stylize(self.parts.pipeline, mine)
        for number, (rgb, styled, alone) in enumerate(zip(source, ours, stylize(self.plain, theirs), strict=True)):
            yield Sample(number, rgb.to(self.plain.device), alone.rgb, styled), alone


class AsItIs(Stylizer[None]):
    """A stylizer that returns the source unchanged, for plans of two layers of which only the masks are wanted."""

    def __init__(self) -> None:
        super().__init__((1.0, 1.0))

    def __call__(
        self, rgb: Tensor, masks: LayerMasks | None, carry: None = None, seconds: float = 0.0
    ) -> tuple[Tensor, None]:
        return rgb, None


def mask_pipelines(settings: Settings, region: str, flow: FlowEstimator) -> tuple[Pipeline, Pipeline]:
    """Two pipelines that segment ``region`` and paint nothing: one stabilizes the masks, the other leaves them raw.

    Raises WeightsError, and PlanError for a region that the segmenter does not know.
    """
    device, edge = choose_device(settings.device), Edge.parse(settings.edge)
    segmenter = RememberingSegmenter(load_segmenter(settings.segmenter, device, offline=settings.offline))
    resolve(region, segmenter.regions)
    plan = parse_plan([f"{region}=source"])
    steadied = Pipeline(plan, AsItIs(), segmenter=segmenter, flow=flow, edge=edge, device=device)
    return steadied, Pipeline(plan, AsItIs(), segmenter=segmenter, edge=edge, device=device)
