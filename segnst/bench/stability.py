"""``segnst bench stability``: measures methods between the source (floor) and per-frame styling (ceiling)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice, tee
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segnst import registry
from segnst.assembly import memory_advice, weights_used
from segnst.bench.clips import BenchClip
from segnst.bench.mask_pass import MaskPass
from segnst.bench.measure import Chain, MeasuringFlow, Pair, measuring_flow
from segnst.bench.meters import (
    OURS,
    PER_FRAME,
    SOURCE,
    Figures,
    Meter,
    Step,
    figures,
    layer_regions,
    mean,
    ratio,
)
from segnst.bench.metrics import excess
from segnst.bench.samples import Bench, Context, Method, NotApplicable, Sample
from segnst.bench.style_kept import StyleMeter, paintings_by_layer
from segnst.config import Settings
from segnst.errors import InputError, UsageError
from segnst.perceptual.encoders import Encoder
from segnst.types import Clip
from segnst.video.read import Reader, open_reader
from segnst.video.write import open_writer

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Options:
    """What is measured and how; the same for all clips of a run.

    methods    names in ``registry.STABILITY_METHODS``; per-frame styling is always measured
    frames     measure only the first so many frames of a clip; None: all of them
    raft       weights of RAFT small to measure with; None: they are fetched
    encoder    perceptual network that measures how much of the style is kept; None: that is not measured
    paintings  {short name of a style: RGB [1,3,H,W] in [0,1]}
    mask       region whose mask is measured when the plan names none
    cache      folder that keeps the estimated flows for later runs, or None
    """

    settings: Settings
    methods: tuple[str, ...] = tuple(registry.STABILITY_METHODS)
    frames: int | None = None
    raft: Path | None = None
    encoder: Encoder | None = None
    paintings: dict[str, Tensor] = field(default_factory=dict)
    mask: str = "vehicle"
    cache: Path | None = None

    def __post_init__(self) -> None:
        for name in self.methods:
            registry.get(registry.STABILITY_METHODS, name, "method")
        if self.frames is not None and self.frames < 2:
            raise UsageError(f"Stability needs two frames or more, not --frames {self.frames}.")

    @property
    def measured(self) -> tuple[str, ...]:
        """The methods in the registry's order, which begins with per-frame styling."""
        return tuple(n for n in registry.STABILITY_METHODS if n in self.methods or n == PER_FRAME)


class _Methods:
    """The methods, each an iterator over its own copy of the samples; all advance together, frame by frame."""

    def __init__(self, names: Sequence[str], samples: Iterator[Sample], context: Context) -> None:
        copies = tee(samples, len(names))
        self.notes: list[str] = []
        self._running: dict[str, Iterator[Tensor]] = {}
        for name, copy in zip(names, copies, strict=True):
            method: Method = registry.get(registry.STABILITY_METHODS, name, "method")
            self._running[name] = method(copy, context)

    def next(self) -> dict[str, Tensor]:
        """The next picture of each method. A method that cannot work with these networks is dropped with a note."""
        pictures = {}
        for name, run in list(self._running.items()):
            try:
                pictures[name] = next(run)
            except NotApplicable as reason:
                self.notes.append(f"{name} was left out: {reason}")
                del self._running[name]
            except StopIteration:
                raise RuntimeError(f"the method {name} made fewer pictures than there are frames") from None
        return pictures


@dataclass
class _Kept:
    """The flows of a clip in compact form, to measure it again after encoding.

    They take about 1.2 MB for each frame of 640x360.
    """

    pairs: list[tuple[Tensor, Tensor] | None] = field(default_factory=list)

    def add(self, pair: Pair | None) -> None:
        self.pairs.append(None if pair is None else (pair.flow.half().cpu(), pair.valid.bool().cpu()))

    def __getitem__(self, k: int) -> Pair | None:
        pair = self.pairs[k]
        return None if pair is None else Pair(pair[0].float(), pair[1].float(), 1 - pair[1].float())


def _encoded(file: Path, size: tuple[int, int], kept: _Kept, meters: dict[str, Meter]) -> Figures:
    """E_warp, its excess and the sharpness of segnst's video, read back from the encoded file.

    size  (H, W) of the frames that were written; an encoder that needs even sides repeats the last line, which is
          cut off again
    """
    meter = Meter()
    with open_reader(file) as reader:
        for k, clip in enumerate(islice(reader, len(kept.pairs))):
            pair = kept[k]
            rgb = clip.rgb[..., : size[0], : size[1]]
            meter.add(rgb, Step(rgb, fresh=pair is None, pair=pair))
    error, low, high = (mean(m.errors["e_warp"]) for m in (meter, meters[SOURCE], meters[PER_FRAME]))
    return {
        "encoded_e_warp": error,
        "encoded_excess": excess(error, low, high),
        "encoded_sharpness": ratio(mean(meter.laplacian), mean(meters[PER_FRAME].laplacian), 1e-12),
    }


@torch.inference_mode()
def measure_clip(clip: BenchClip, options: Options, progress: Progress | None = None) -> dict[str, Any]:
    """All figures of all methods on one clip (see ``segnst.bench.columns``).

    Frames stream through all methods at once; memory grows by 1.2 MB a frame of 640x360 (the flows).
    Returns ``{"frames", "size", "sha256", "cuts", "measured_with", "notes", "methods": {name: figures},
    "error_over_time": {name: E_warp of each frame}, "seconds_a_frame", "weights"}``.
    Raises InputError (fewer than two frames, bad files), PlanError (an unknown ``options.mask``), WeightsError,
    ResourceError.
    """
    bench = Bench.build(options.settings)
    flow, note = measuring_flow(
        clip, options.raft, bench.plain.device, offline=options.settings.offline, cache=options.cache
    )
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(clip.path, max_size=options.settings.max_size))
        stack.enter_context(memory_advice(f"{reader.width}x{reader.height}"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="segnst-")))
        return _Run(clip, options, bench, flow, reader, folder / "ours.mp4", [note] if note else []).run(progress)


class _Run:
    """One clip on its way through all methods and meters."""

    def __init__(
        self,
        clip: BenchClip,
        options: Options,
        bench: Bench,
        flow: MeasuringFlow,
        reader: Reader,
        file: Path,
        notes: list[str],
    ) -> None:
        self.clip, self.options, self.bench, self.flow = clip, options, bench, flow
        self.reader, self.file, self.notes = reader, file, notes
        self.times: list[Clip] = []  # frames that were read and not yet written
        self.cuts: list[int] = []
        self.meters = {name: Meter() for name in (SOURCE, *options.measured)}
        self.kept, self.chain = _Kept(), Chain()
        self.style: StyleMeter | None = None
        if options.encoder is not None:
            paintings = paintings_by_layer(options.paintings, bench.parts.plan)
            self.style = StyleMeter(options.encoder.to(bench.plain.device), paintings)

    def _frames(self) -> Iterator[Tensor]:
        for clip in islice(self.reader, self.options.frames):
            self.times.append(clip)
            yield clip.rgb

    def run(self, progress: Progress | None) -> dict[str, Any]:
        mine, theirs = tee(self._frames())
        samples, others = tee(self.bench.samples(mine))
        methods = _Methods(self.options.measured, (sample for sample, _ in others), self.bench.context)
        masks = MaskPass(self.options.mask, self.options.settings, self.bench, self.clip, theirs)
        del theirs  # this copy would keep every frame in memory where the masks come from the plan
        writer = open_writer(self.file, self.reader, audio=False) if OURS in self.options.measured else None
        last: Tensor | None = None
        count = 0
        with ExitStack() as stack:
            if writer is not None:
                stack.enter_context(writer)
            for sample, alone in samples:
                outputs = methods.next()
                step = self._step(sample, last)
                masks.add(sample, alone, step.pair)
                for name, picture in {SOURCE: sample.rgb, **outputs}.items():
                    self.meters[name].add(picture, step)
                if self.style is not None and self.style.wants(sample.number):
                    self._style(sample, outputs)
                read = self.times.pop(0)
                if writer is not None:
                    writer.write(Clip(outputs[OURS].cpu(), read.pts, read.time_base))
                last, count = sample.rgb, count + 1
                if progress:
                    progress(count, min(self.options.frames or count, self.reader.frames_expected or count))
            if count < 2:
                raise InputError(f"{self.clip.path} has fewer than two frames; stability cannot be measured.")
        left_out = [name for name in self.options.measured if name not in outputs]
        for name in left_out:
            del self.meters[name]
        self.notes += [*methods.notes, *([masks.note] if masks.note else [])]
        return self._result(count, masks)

    def _step(self, sample: Sample, last: Tensor | None) -> Step:
        """What is measured at this frame. No pair spans a cut; cuts are the true ones where the truth is known."""
        found = sample.number > 0 and sample.cut
        true = self.clip.truth is not None and sample.number in self.clip.truth.cuts
        fresh = last is None or (true if self.clip.truth is not None else found)
        pair = None if fresh or last is None else self.flow(sample.number, sample.rgb, last)
        if fresh:
            self.chain.reset()
            self.cuts += [sample.number] if sample.number else []
        elif pair is not None:
            self.chain.add(pair)
        self.kept.add(pair)
        masks = sample.ours.masks
        regions = layer_regions(masks.soft, masks.layers) if masks is not None else {}
        long, ghosts = self.chain.long(), self.chain.ghosts()
        return Step(sample.painted, fresh, found or true, pair, long, ghosts, regions)

    def _style(self, sample: Sample, outputs: dict[str, Tensor]) -> None:
        soft = sample.ours.masks
        layers = {} if soft is None else {n: soft.soft[:, k : k + 1] for k, n in enumerate(soft.layers)}
        if self.style is not None:
            self.style.add({SOURCE: sample.rgb, **outputs}, layers)

    def _result(self, count: int, masks: MaskPass) -> dict[str, Any]:
        methods = {name: figures(name, self.meters) for name in self.meters}
        for name in methods:
            if self.style is not None:
                methods[name] |= self.style.figures(name)
            if name in masks.meters:
                methods[name] |= masks.meters[name].figures()
        if OURS in methods:
            methods[OURS] |= _encoded(self.file, (self.reader.height, self.reader.width), self.kept, self.meters)
        if methods[PER_FRAME].get("excess") is None:
            self.notes.append(
                "per-frame styling is hardly less steady than the source here, so the excess is not defined"
            )
        weights = {name: used["sha256"] for name, used in weights_used(self.bench.parts).items()}
        if self.flow.weights:
            weights[self.flow.name] = self.flow.weights
        known = {n: {k: v for k, v in f.items() if v is not None} for n, f in methods.items()}
        return {
            "frames": count,
            "size": [self.reader.width, self.reader.height],
            "sha256": self.clip.sha256,
            "cuts": self.cuts,
            "measured_with": self.flow.name,
            "mask": ",".join(masks.regions),
            "notes": self.notes,
            "methods": known,
            "error_over_time": {name: meter.series for name, meter in self.meters.items()},
            "seconds_a_frame": {k: v / count for k, v in self.bench.parts.pipeline.seconds.items()},
            "weights": weights,
        }
