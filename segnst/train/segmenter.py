"""Train or fine-tune the DeepLabV3 segmenter on folders of images with label maps, with or without a teacher."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segnst.device import mixed_precision, training_dtype
from segnst.errors import InputError, UsageError
from segnst.masks.classes import STREET, regions_from_names
from segnst.segmentation.networks.deeplab import DeepLabSegmenter, save
from segnst.segmentation.networks.deeplab_network import DeepLab
from segnst.train import segmentation_data as data
from segnst.train.loop import Report, train_loop
from segnst.train.run_files import History, damaged, read_run, write_run
from segnst.train.segmenter_folders import DataFolder, count_pixels, iou, split_sources
from segnst.train.segmenter_losses import LossWeights, segmentation_loss
from segnst.train.segmenter_start import start_from
from segnst.types import Region


@dataclass(frozen=True)
class SegmenterSettings:
    """How to train. Learning rates: ``lr`` for the backbone, 3x for the old head, 10x for what is new.

    ``offsets`` are added to the logits of the checkpoint: a class that weighs more is learned better but also
    seen where it is not, and its boundary lies too far out. Default: minus the logarithm of its weight.
    """

    iterations: int = 2000
    batch: int = 8
    crop: int = 321
    lr: float = 1e-4
    seed: int = 0
    frozen: int = 3
    class_weights: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    teacher: float = 1.0
    pseudo: float = 0.35
    partial: float = 1.0
    average: float = 0.998
    hold_back: int = 8
    validate_every: int = 300
    save_every: int = 100
    validate_at_most: int = 24
    long_side: int = 513
    scale: tuple[float, float] = (0.6, 1.5)


def train_segmenter(
    folders: Sequence[DataFolder],
    out: Path,
    *,
    classes: Sequence[str] | None = None,
    aliases: Mapping[str, Sequence[str]] | None = None,
    start: Path | None = None,
    settings: SegmenterSettings | None = None,
    device: str | torch.device = "cpu",
    resume: bool = False,
    card: dict[str, str] | None = None,
    report: Report | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train; return the path of the best checkpoint, ``out/best.safetensors``.

    classes  names in order of their label values (default: the nine of the bundled segmenter)
    aliases  further names, each with the classes that it means
    start    a checkpoint to begin from: one of segnst's, or the published VOC network
    report   called with (iteration, losses) after every iteration and (iteration, IoUs) after validating
    stop     asked after each iteration; True ends the run so that ``resume`` continues it

    Writes ``run.pt`` (to resume from), ``history.json``, ``curves.png``, ``best.safetensors`` and its card
    ``best.md``. Raises InputError for unusable data, WeightsError for an unusable start or run file.
    """
    settings = settings or SegmenterSettings()
    if settings.crop % 16 != 1:
        near = settings.crop // 16 * 16 + 1
        raise UsageError(f"The crop must be of the form 16k+1, such as {near}, not {settings.crop}.")
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
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(network.to(device), regions, train, held, channels, settings, out, torch.device(device), card or {})
    if resume:
        run.restore()
    return run.go(report or (lambda *_: None), stop)


_RATES = {"stem": 1.0, "blocks": 1.0, "point": 3.0, "whole": 3.0, "merge": 3.0, "logits": 3.0}


class _Run:
    """One training run: the network, its running average, the optimizer and where they stand."""

    def __init__(
        self,
        network: DeepLab,
        regions: tuple[Region, ...],
        train: list[data.Source],
        held: list[data.Source],
        channels: tuple[int, ...],
        settings: SegmenterSettings,
        out: Path,
        device: torch.device,
        card: dict[str, str],
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last).train()
        self.regions, self.train, self.held, self.channels = regions, train, held, channels
        self.settings, self.out, self.device, self.card = settings, out, device, card
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self._groups(), weight_decay=1e-4)
        self.iteration, self.best = 0, -1.0
        self.history = History()
        weights = settings.class_weights or (1.0,) * len(regions)
        self.weights = LossWeights(weights, settings.partial, settings.teacher, settings.pseudo)
        self.dtype = training_dtype(device)
        self.scaler = torch.amp.GradScaler(enabled=self.dtype is torch.float16)

    def _groups(self) -> list[dict[str, Any]]:
        """Parameter groups with their learning rates."""
        rates: dict[float, list[Tensor]] = {}
        for name, parameter in self.network.named_parameters():
            part = name.split(".")[0]
            factor = _RATES.get(part, 10.0)
            if parameter.requires_grad:
                rates.setdefault(factor, []).append(parameter)
        return [{"params": p, "lr": f * self.settings.lr, "top": f * self.settings.lr} for f, p in rates.items()]

    def go(self, report: Report, stop: Callable[[], bool]) -> Path:
        """Run to the last iteration (or until ``stop``)."""
        s = self.settings
        mirrored = data.mirrored_classes([r.name for r in self.regions])
        sampler = data.Sampler(self.train, len(self.regions), self.channels, s.crop, s.batch, s.seed, s.scale, mirrored)
        with ThreadPoolExecutor(1) as pool:
            ahead = min(self.iteration + 2, s.iterations)
            coming = [pool.submit(sampler.draw, i) for i in range(self.iteration, ahead)]

            def step() -> dict[str, float]:
                batch = coming.pop(0).result()
                if self.iteration + 2 < s.iterations:
                    coming.append(pool.submit(sampler.draw, self.iteration + 2))
                return self._step(batch)

            return train_loop(self, step, s, report, stop)

    def _step(self, batch: data.Batch) -> dict[str, float]:
        s = self.settings
        warm = min(1.0, (self.iteration + 1) / 50)
        rate = warm * (1 - self.iteration / s.iterations) ** 0.9
        for group in self.optimizer.param_groups:
            group["lr"] = group["top"] * rate
        batch = data.Batch(*(getattr(batch, f).to(self.device) for f in data.Batch.__dataclass_fields__))
        with mixed_precision(self.device, self.dtype):
            logits = self.network(batch.image)
        loss, parts = segmentation_loss(logits, batch, self.weights, self.channels)
        if not torch.isfinite(loss):
            raise InputError(f"The loss is not finite at iteration {self.iteration}: lower the learning rate (--lr).")
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        keep = min(s.average, (self.iteration + 1) / (self.iteration + 10))
        for key, value in self.network.state_dict().items():
            self.average[key].lerp_(value, 1 - keep)
        return {"loss": float(loss.detach()), **parts}

    def _averaged(self) -> DeepLab:
        network = DeepLab(**self.network.settings)
        network.load_state_dict(self.average)
        network.shift(self.settings.offsets or [-math.log(w) for w in self.weights.classes])
        return network.to(self.device)

    def validate(self) -> dict[str, float]:
        """IoU of each class on what was held back; keeps the checkpoint when the mean is the best so far."""
        segmenter = DeepLabSegmenter("averaged", self._averaged(), self.regions, self.settings.long_side)
        values: dict[str, float] = {}
        means = []
        for source in self.held:
            counts = np.zeros((len(self.regions), 3), np.int64)
            step = max(1, len(source.items) // self.settings.validate_at_most)
            for item in source.items[::step]:
                counts += count_pixels(segmenter, item, source)
            ious = {r.name: iou(counts[r.index]) for r in self.regions if counts[r.index, 2]}
            values |= {f"IoU {source.name} {name}": v for name, v in ious.items()}
            means.append(float(np.mean(list(ious.values()))) if ious else 0.0)
        values["mean IoU"] = float(np.mean(means)) if means else 0.0
        self.history.note(self.iteration, values)
        if values["mean IoU"] > self.best:
            self.best = values["mean IoU"]
            self._keep(values)
        self.history.draw(self.out)
        return values

    def _keep(self, values: dict[str, float]) -> None:
        from segnst.train.segmenter_card import write_card

        facts = {"long_side": str(self.settings.long_side), "iteration": str(self.iteration), **self.card}
        save(self.out / "best.safetensors", self._averaged(), self.regions, facts)
        write_card(self.out / "best.md", self.regions, self.settings, self.train, self.iteration, values, self.card)

    def store(self) -> None:
        """Write all that is needed to go on from here."""
        state = {
            "settings": json.dumps({**asdict(self.settings), "iterations": 0}),
            "classes": [r.name for r in self.regions],
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "iteration": self.iteration,
            "best": self.best,
            "history": self.history.text(),
        }
        write_run(self.out, state)

    def restore(self) -> None:
        """Go back to where ``store`` left off. Raises WeightsError when there is nothing usable."""
        state = read_run(self.out, [r.name for r in self.regions], self.device)
        try:
            self.network.load_state_dict(state["network"])
            self.average = state["average"]
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.iteration, self.best = int(state["iteration"]), float(state["best"])
            self.history = History(state["history"])
        except Exception as error:  # torch raises many kinds for what does not fit
            raise damaged(self.out, error) from error
