"""Measures the mask of one region through a clip: raw, as the segmenter returns it, and stabilized."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import tee

from torch import Tensor

from segnst.bench.clips import BenchClip
from segnst.bench.measure import Pair
from segnst.bench.meters import OURS, PER_FRAME, SOURCE, MaskMeter
from segnst.bench.samples import Bench, Sample, mask_pipelines, stylize
from segnst.config import Settings
from segnst.errors import PlanError, WeightsError
from segnst.pipeline import Styled
from segnst.plan import BACKGROUND


class MaskPass:
    """The stabilized and the raw mask of one region, from the plan's own pipelines or from two that only segment.

    Raises PlanError for a region that the segmenter does not know.
    """

    def __init__(
        self, region: str, settings: Settings, bench: Bench, clip: BenchClip, frames: Iterator[Tensor]
    ) -> None:
        self.note = ""
        self._pairs: Iterator[tuple[Styled, Styled]] | None = None
        self.meters = {SOURCE: MaskMeter(), PER_FRAME: MaskMeter(), OURS: MaskMeter()}
        plan, self._clip = bench.parts.plan, clip
        first = plan.entries[0].regions
        # the first layer of the plan, unless that is the background or the whole frame
        self.regions = first if first and BACKGROUND not in first else (region,)
        if self.regions is first:
            return
        try:
            steadied, raw = mask_pipelines(settings, region, bench.context.flow)
        except WeightsError as error:
            self.note = f"masks were not measured: {error}"
            return
        one, two = tee(frames)
        self._pairs = zip(stylize(steadied, one), stylize(raw, two), strict=True)

    def add(self, sample: Sample, alone: Styled, pair: Pair | None) -> None:
        """Measure the masks of one frame."""
        steadied, raw = (sample.ours, alone) if self._pairs is None else next(self._pairs)
        size = (sample.rgb.shape[-2], sample.rgb.shape[-1])
        try:
            true = self._clip.true_mask(sample.number, self.regions, size)
        except PlanError:  # the truth has no such region
            true = None
        if true is not None:
            true = true.to(sample.rgb.device)
            self.meters[SOURCE].add(true, true, pair)
        for name, styled in ((OURS, steadied), (PER_FRAME, raw)):
            if styled.masks is not None:
                self.meters[name].add(styled.masks.soft[:, :1], true, pair)
