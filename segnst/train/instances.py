"""Fine-tune Mask R-CNN on one's own objects (``segnst train instances``)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from segnst.errors import InputError
from segnst.masks.classes import regions_from_names
from segnst.masks.coco_classes import coco_regions
from segnst.masks.labeled import held_back
from segnst.segmentation.networks import mask_rcnn
from segnst.segmentation.networks.mask_rcnn import MaskRcnn
from segnst.segmentation.objects.instances import without_duplicates
from segnst.train import instance_data as data
from segnst.train.loop import Report, train_loop
from segnst.train.run_files import History, damaged, read_run, write_run
from segnst.types import Region

_HEADS = ("roi_heads.box_predictor", "roi_heads.mask_predictor.mask_fcn_logits")


@dataclass(frozen=True)
class InstanceSettings:
    """How to train: SGD, ``lr`` warmed up over 50 steps, then down a cosine. Batch norms stay as they are."""

    iterations: int = 500
    batch: int = 2
    lr: float = 0.005
    seed: int = 0
    hold_back: int = 6
    validate_every: int = 100
    validate_at_most: int = 40
    save_every: int = 50


def train_instances(
    folders: Sequence[Path],
    out: Path,
    *,
    classes: Sequence[str] | None = None,
    start: Path | None = None,
    network: str = mask_rcnn.OFFICIAL,
    settings: InstanceSettings | None = None,
    device: str | torch.device = "cpu",
    resume: bool = False,
    card: dict[str, str] | None = None,
    report: Report = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train; return the path of the best checkpoint, ``out/best.safetensors``.

    folders  Penn-Fudan or COCO folders (:mod:`segnst.train.instance_data`); every sixth photo is held back
    classes  names, the first one for what is no object (default: what the folders say)
    start    torchvision's official weights, or a file of this training; None: random weights for ``network``.
             Classes that it knows by name keep what it learned about them.
    stop     asked after each iteration; True ends the run so that ``resume`` continues it

    Writes ``run.pt``, ``history.json``, ``curves.png``, ``best.safetensors`` and its card ``best.md``. Best is
    the checkpoint of the highest average precision of masks at an IoU of 0.5.
    Raises InputError for unusable data, WeightsError for an unusable start or run file.
    """
    settings = settings or InstanceSettings()
    if not folders:
        raise InputError("No data to train on: name at least one folder with --data.")
    names = list(classes) if classes else list(dict.fromkeys(n for f in folders for n in data.default_classes(f)))
    regions = regions_from_names(names)
    photos = [photo for folder in folders for photo in data.find_photos(folder, names)]
    for photo in photos:  # before hours of training, not after
        data.load(photo, len(regions))
    held = [p for p in photos if held_back(p.image, settings.hold_back)]
    train = [p for p in photos if p not in held] or photos
    torch.manual_seed(settings.seed)
    net, architecture = start_from(start, network, regions)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(net.to(device), architecture, regions, train, held or train, settings, out, card or {})
    if resume:
        run.restore()
    return run.go(report, stop)


def start_from(path: Path | None, architecture: str, regions: Sequence[Region]) -> tuple[nn.Module, str]:
    """Build a network for ``regions``; weights of classes that ``path`` knows by name or alias are taken along."""
    if path is None:
        return mask_rcnn.build(architecture, len(regions)), architecture
    if path.suffix == ".safetensors":
        theirs, known, architecture = mask_rcnn.read(path)
        rows = {r.index: r.index for r in known}
    else:
        known, numbers = coco_regions()
        theirs, architecture = mask_rcnn.read_official(path), mask_rcnn.OFFICIAL
        rows = {0: 0, **{index: number for number, index in numbers.items()}}
    network = mask_rcnn.build(architecture, len(regions))
    state, old = network.state_dict(), theirs.state_dict()
    for key, value in old.items():
        if not key.startswith(_HEADS):
            state[key] = value
            continue
        each = 4 if "bbox_pred" in key else 1  # rows a class
        for region in regions:
            words = {region.name, *region.aliases}
            same = [k.index for k in known if k.name == region.name] or [k.index for k in known if k.name in words]
            if region.index == 0 or same:
                row = rows[same[0] if region.index else 0]
                state[key][each * region.index : each * (region.index + 1)] = value[each * row : each * (row + 1)]
    network.load_state_dict(state)
    return network, architecture


def average_precision(scored: Sequence[tuple[float, bool]], truths: int) -> float:
    """Area under precision over recall (Everingham et al. 2010, as VOC 2010 on): (score, right) of all finds."""
    if not truths:
        return float("nan")
    right = np.cumsum([ok for _, ok in sorted(scored, key=lambda pair: -pair[0])])
    precision = right / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0], right])) > 0
    return float(best[steps].sum() / truths)


def measure(finder: MaskRcnn, photos: Sequence[data.Photo]) -> dict[str, float]:
    """Average precision of the masks of each class at an IoU of 0.5, their mean, and the mean IoU of right ones."""
    classes = finder.classes
    scored: dict[int, list[tuple[float, bool]]] = {r.index: [] for r in classes[1:]}
    truths = dict.fromkeys(scored, 0)
    overlaps = []
    for photo in photos:
        image, masks, labels = data.load(photo, len(classes))
        rgb = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        found = without_duplicates(finder(rgb))
        size = (image.shape[0], image.shape[1])
        free = set(range(len(labels)))
        for label in labels:
            truths[label] += 1
        for index, score, mask in zip(found.classes, found.scores, found.masks, strict=True):
            full = nn.functional.interpolate(mask[None, None], size, mode="bilinear", align_corners=True)[0, 0]
            solid = (full > 0.5).cpu().numpy()
            ious = {k: _iou(solid, masks[k]) for k in free if labels[k] == index}
            best = max(ious, key=lambda k: ious[k], default=None)
            right = best is not None and ious[best] >= 0.5
            scored[index].append((score, right))
            if best is not None and right:
                overlaps.append(ious[best])
                free.discard(best)
    values = {f"AP50 {classes[k].name}": average_precision(scored[k], truths[k]) for k in scored if truths[k]}
    mean = float(np.mean(list(values.values()))) if values else 0.0
    return {**values, "mask AP50": mean, "IoU of the found": float(np.mean(overlaps)) if overlaps else 0.0}


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 0.0


class _Run:
    """One training run: the network, the optimizer and where they stand."""

    def __init__(
        self,
        network: nn.Module,
        architecture: str,
        regions: tuple[Region, ...],
        train: list[data.Photo],
        held: list[data.Photo],
        settings: InstanceSettings,
        out: Path,
        card: dict[str, str],
    ) -> None:
        self.network, self.architecture, self.regions = network, architecture, regions
        self.train, self.held, self.settings, self.out, self.card = train, held, settings, out, card
        self.device = next(network.parameters()).device
        self.optimizer = torch.optim.SGD(
            [p for p in network.parameters() if p.requires_grad], settings.lr, 0.9, weight_decay=5e-4
        )
        self.iteration, self.best, self.history = 0, -1.0, History()

    def go(self, report: Report, stop: Callable[[], bool]) -> Path:
        """Run to the last iteration (or until ``stop``)."""
        return train_loop(self, self._step, self.settings, report, stop)

    def _step(self) -> dict[str, float]:
        s = self.settings
        batch = data.draw(self.train, len(self.regions), s.batch, (s.seed, self.iteration))
        torch.manual_seed(s.seed * 1_000_003 + self.iteration)  # proposals are sampled: a resumed run does it alike
        rate = min(1.0, (self.iteration + 1) / 50) * 0.5 * (1 + math.cos(math.pi * self.iteration / s.iterations))
        for group in self.optimizer.param_groups:
            group["lr"] = s.lr * rate
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()  # a batch of two says too little about the mean
        targets = [{k: v.to(self.device) for k, v in target.items()} for _, target in batch]
        losses: dict[str, Any] = self.network([image.to(self.device) for image, _ in batch], targets)
        loss = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(loss):
            raise InputError(f"The loss is not finite at iteration {self.iteration}: lower it with --learning-rate.")
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimizer.step()
        return {"loss": float(loss.detach()), **{k: float(v.detach()) for k, v in losses.items()}}

    def validate(self) -> dict[str, float]:
        step = max(1, len(self.held) // self.settings.validate_at_most)
        values = measure(MaskRcnn("trained", self.network, self.regions), self.held[::step])
        self.history.note(self.iteration, values)
        if values["mask AP50"] > self.best:
            self.best = values["mask AP50"]
            self._keep(values)
        self.history.draw(self.out)
        return values

    def _keep(self, values: dict[str, float]) -> None:
        facts = {"iteration": str(self.iteration), **self.card}
        mask_rcnn.save(self.out / "best.safetensors", self.network, self.regions, self.architecture, facts)
        s = self.settings
        lines = [
            "# best",
            "",
            f"Mask R-CNN trained with segnst ({self.architecture}, {self.iteration} iterations).",
            "",
            *(f"- {name}: {text}" for name, text in self.card.items()),
            f"- batch {s.batch}, learning rate {s.lr:g}, seed {s.seed}; {len(self.train)} photos",
            f"- classes: {', '.join(r.name for r in self.regions[1:])}",
            "",
            f"| measured on {len(self.held)} photos {'held back' if self.held != self.train else 'TRAINED ON'} | |",
            "|---|---|",
            *(f"| {name} | {value:.3f} |" for name, value in values.items()),
            "",
        ]
        (self.out / "best.md").write_text("\n".join(lines))

    def store(self) -> None:
        """Write all that is needed to go on from here."""
        state = {
            "settings": json.dumps({**asdict(self.settings), "iterations": 0}),
            "classes": [r.name for r in self.regions],
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
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
            self.optimizer.load_state_dict(state["optimizer"])
            self.iteration, self.best = int(state["iteration"]), float(state["best"])
            self.history = History(state["history"])
        except Exception as error:  # torch raises many kinds for what does not fit
            raise damaged(self.out, error) from error
