"""Train or fine-tune the DeepLabV3 segmenter on folders of images with label maps, with or without a teacher."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segnst.device import choose_device, mixed_precision
from segnst.errors import InputError
from segnst.masks.classes import STREET, regions_from_names
from segnst.segmentation.networks.deeplab import ARCHITECTURE, DeepLabSegmenter, save
from segnst.segmentation.networks.deeplab_network import DeepLab
from segnst.train import segmentation_data as data
from segnst.train.card import Table, write_card
from segnst.train.run import Report, Run
from segnst.train.segmenter_folders import DataFolder, count_pixels, iou, split_sources
from segnst.train.segmenter_losses import LossWeights, segmentation_loss
from segnst.train.segmenter_start import start_from
from segnst.train.settings import SegmenterSettings
from segnst.train.training import GradientTraining
from segnst.types import Region


def train_segmenter(
    folders: Sequence[DataFolder],
    out: Path,
    *,
    classes: Sequence[str] | None = None,
    aliases: Mapping[str, Sequence[str]] | None = None,
    start: Path | None = None,
    settings: SegmenterSettings | None = None,
    device: str = "auto",
    restart: bool = False,
    stop_at: int | None = None,
    card: dict[str, str] | None = None,
    report: Report | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train; return the path of the best checkpoint, ``out/best.safetensors``.

    classes  names in order of their label values (default: the nine of the bundled segmenter)
    aliases  further names, each with the classes that it stands for
    start    a checkpoint to start from: one of segnst's, or the published VOC network
    restart  start over if ``out`` holds a run already; otherwise that run is resumed
    stop_at  end after this many iterations, although more are planned
    report   called after every iteration (with its losses) and every validation (with its IoUs)
    stop     called after each iteration; if it returns True, the run is stored and ends

    Writes ``run.pt`` (to resume from), ``history.json``, ``curves.png``, ``best.safetensors`` and its card
    ``best.md``. Raises InputError for unusable data, UsageError when the run in ``out`` has other settings or the
    loss is no longer finite, WeightsError for an unusable start or run file.
    """
    settings = settings or SegmenterSettings()
    regions = STREET if classes is None else regions_from_names(classes, aliases)
    train, held = split_sources(folders, regions, settings.hold_back)
    torch.manual_seed(settings.seed)
    if len(settings.class_weights) not in (0, len(regions)):
        raise InputError(f"{len(settings.class_weights)} class weights were given for {len(regions)} classes.")
    if len(settings.offsets) not in (0, len(regions)):
        raise InputError(f"{len(settings.offsets)} offsets were given for {len(regions)} classes.")
    network = start_from(start, regions)
    network.freeze(settings.frozen if start is not None else 0)
    channels = data.taught_classes(train, [r.name for r in regions])
    training = SegmenterTraining(
        network.to(choose_device(device)), regions, train, held, channels, settings, card or {}
    )
    run = Run(training, out, restart=restart, save_every=settings.save_every, validate_every=settings.validate_every)
    run.go(stop_at=stop_at, report=report, stop=stop)
    return out / BEST


BEST = "best.safetensors"
_RATES = {"stem": 1.0, "blocks": 1.0, "point": 3.0, "whole": 3.0, "merge": 3.0, "logits": 3.0}


class SegmenterTraining(GradientTraining):
    """Trains a network on labeled photos; the running average of its weights is what is validated and kept."""

    kind = "segmenter"
    judged_by = "mean IoU"
    may_change = frozenset({"iterations", "validate_every", "validate_at_most", "save_every"})

    def __init__(
        self,
        network: DeepLab,
        regions: tuple[Region, ...],
        train: list[data.Source],
        held: list[data.Source],
        channels: tuple[int, ...],
        settings: SegmenterSettings,
        card: dict[str, str],
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last).train()
        self.regions, self.train, self.held, self.channels = regions, train, held, channels
        self.options, self.card = settings, card
        optimizer = torch.optim.AdamW(self._groups(), weight_decay=1e-4)
        classes = [r.name for r in regions]
        known = {**asdict(settings), "classes": classes}
        super().__init__(self.network, optimizer, settings.iterations, settings.seed, known, clip=5.0)
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        weights = settings.class_weights or (1.0,) * len(regions)
        self.weights = LossWeights(weights, settings.partial, settings.teacher, settings.pseudo)
        mirrored = data.mirrored_classes(classes)
        s = settings
        sampler = data.Sampler(train, len(regions), channels, s.crop, s.batch, s.seed, s.scale, mirrored)
        self.batches = data.Ahead(sampler, self.world.turn, s.iterations)

    def _groups(self) -> list[dict[str, Any]]:
        """Parameter groups with their learning rates."""
        rates: dict[float, list[Tensor]] = {}
        for name, parameter in self.network.named_parameters():
            part = name.split(".")[0]
            factor = _RATES.get(part, 10.0)
            if parameter.requires_grad:
                rates.setdefault(factor, []).append(parameter)
        return [{"params": p, "lr": f * self.options.lr, "top": f * self.options.lr} for f, p in rates.items()]

    def step(self, iteration: int) -> dict[str, float]:
        s = self.options
        warm = min(1.0, (iteration + 1) / 50)
        rate = warm * (1 - iteration / s.iterations) ** 0.9
        for group in self.optimizer.param_groups:
            group["lr"] = group["top"] * rate
        batch = self.batches.take(iteration)
        batch = data.Batch(*(getattr(batch, f).to(self.device) for f in data.Batch.__dataclass_fields__))
        with mixed_precision(self.device, self.dtype):
            logits = self.network(batch.image)
        loss, parts = segmentation_loss(logits, batch, self.weights, self.channels)
        self.descend(loss)
        keep = min(s.average, (iteration + 1) / (iteration + 10))
        for key, value in self.network.state_dict().items():
            self.average[key].lerp_(value, 1 - keep)
        return {"loss": float(loss.detach()), **parts}

    def _averaged(self) -> DeepLab:
        network = DeepLab(**self.network.settings)
        network.load_state_dict(self.average)
        network.shift(self.options.offsets or [-math.log(w) for w in self.weights.classes])
        return network.to(self.device)

    def validate(self) -> dict[str, float]:
        """IoU of each class on the photos that were held back."""
        segmenter = DeepLabSegmenter("averaged", self._averaged(), self.regions, self.options.long_side)
        values: dict[str, float] = {}
        means = []
        for source in self.held:
            counts = np.zeros((len(self.regions), 3), np.int64)
            step = max(1, len(source.items) // self.options.validate_at_most)
            for item in source.items[::step]:
                counts += count_pixels(segmenter, item, source)
            ious = {r.name: iou(counts[r.index]) for r in self.regions if counts[r.index, 2]}
            values |= {f"IoU {source.name} {name}": v for name, v in ious.items()}
            means.append(float(np.mean(list(ious.values()))) if ious else 0.0)
        values["mean IoU"] = float(np.mean(means)) if means else 0.0
        return values

    def keep(self, folder: Path, iteration: int, values: dict[str, float]) -> None:
        s, path = self.options, folder / BEST
        facts = {"long_side": str(s.long_side), "iteration": str(iteration), **self.card}
        save(path, self._averaged(), self.regions, facts)
        how = f"batch {s.batch}, crops of {s.crop}, learning rate {s.lr:g}, seed {s.seed}"
        classes = [(r.index, r.name, ", ".join(r.aliases)) for r in self.regions]
        sources = [(source.name, len(source.items), f"{source.weight:g}") for source in self.train]
        measured = [(name.removeprefix("IoU "), value) for name, value in values.items()]
        write_card(
            path,
            f"A segmenter trained with segnst ({ARCHITECTURE}, {iteration} iterations).",
            {**self.card, "training": how},
            Table(("index", "class", "also called"), classes),
            Table(("data", "photos trained on", "share"), sources),
            Table(("measured on held-back photos", "IoU"), measured, digits=3),
        )

    def state(self) -> dict[str, Any]:
        return {**super().state(), "average": self.average}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        for key, value in state["average"].items():
            self.average[key].copy_(value)

    def close(self) -> None:
        self.batches.close()
