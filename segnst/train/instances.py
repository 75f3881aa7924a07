"""Fine-tune Mask R-CNN on one's own objects (``segnst train instances``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from segnst.device import choose_device
from segnst.errors import InputError
from segnst.masks.classes import regions_from_names
from segnst.masks.coco_classes import coco_regions
from segnst.masks.labeled import held_back
from segnst.segmentation.networks import mask_rcnn
from segnst.segmentation.networks.mask_rcnn import MaskRcnn
from segnst.segmentation.objects.instances import without_duplicates
from segnst.train import instance_data as data
from segnst.train.card import Table, write_card
from segnst.train.run import Report, Run
from segnst.train.settings import InstanceSettings
from segnst.train.training import GradientTraining
from segnst.types import Region

BEST = "best.safetensors"
_HEADS = ("roi_heads.box_predictor", "roi_heads.mask_predictor.mask_fcn_logits")


def train_instances(
    folders: Sequence[Path],
    out: Path,
    *,
    classes: Sequence[str] | None = None,
    start: Path | None = None,
    network: str = mask_rcnn.OFFICIAL,
    settings: InstanceSettings | None = None,
    device: str = "auto",
    restart: bool = False,
    stop_at: int | None = None,
    card: dict[str, str] | None = None,
    report: Report | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train; return the path of the best checkpoint, ``out/best.safetensors``.

    folders  Penn-Fudan or COCO folders (:mod:`segnst.train.instance_data`); every sixth photo is held back
    classes  names; the first one is the background's (default: the classes that the folders contain)
    start    torchvision's official weights, or a file of this training; None: random weights for ``network``.
             Its classes of the same names keep what it has learned about them.
    restart  start over if ``out`` holds a run already; otherwise that run is resumed
    stop_at  end after this many iterations, although more are planned
    report   called after every iteration (with its losses) and every validation (with its average precisions)
    stop     called after each iteration; if it returns True, the run is stored and ends

    Writes ``run.pt``, ``history.json``, ``curves.png``, ``best.safetensors`` and its card ``best.md``. The best
    checkpoint is the one with the highest average precision of masks at an IoU of 0.5.
    Raises InputError for unusable data, UsageError when the run in ``out`` has other settings or the loss is no longer
    finite, WeightsError for an unusable start or run file.
    """
    settings = settings or InstanceSettings()
    if not folders:
        raise InputError("No data to train on: name at least one folder with --data.")
    names = list(classes) if classes else list(dict.fromkeys(n for f in folders for n in data.default_classes(f)))
    regions = regions_from_names(names)
    photos = [photo for folder in folders for photo in data.find_photos(folder, names)]
    for photo in photos:  # reads every photo, so that unusable data are found before hours of training
        data.load(photo, len(regions))
    held = [p for p in photos if held_back(p.image, settings.hold_back)]
    train = [p for p in photos if p not in held] or photos
    torch.manual_seed(settings.seed)
    net, architecture = start_from(start, network, regions)
    training = InstanceTraining(
        net.to(choose_device(device)), architecture, regions, train, held or train, settings, card or {}
    )
    run = Run(training, out, restart=restart, save_every=settings.save_every, validate_every=settings.validate_every)
    run.go(stop_at=stop_at, report=report, stop=stop)
    return out / BEST


def start_from(path: Path | None, architecture: str, regions: Sequence[Region]) -> tuple[nn.Module, str]:
    """Build a network for ``regions``; classes that ``path`` has under the same name or alias keep their weights."""
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
        each = 4 if "bbox_pred" in key else 1  # rows per class
        for region in regions:
            words = {region.name, *region.aliases}
            same = [k.index for k in known if k.name == region.name] or [k.index for k in known if k.name in words]
            if region.index == 0 or same:
                row = rows[same[0] if region.index else 0]
                state[key][each * region.index : each * (region.index + 1)] = value[each * row : each * (row + 1)]
    network.load_state_dict(state)
    return network, architecture


def average_precision(scored: Sequence[tuple[float, bool]], truths: int) -> float:
    """Area under the precision-recall curve (Everingham et al. 2010, as in VOC from 2010 on).

    scored  (score, whether it is right) of every detection
    truths  number of objects that there are to find
    """
    if not truths:
        return float("nan")
    right = np.cumsum([ok for _, ok in sorted(scored, key=lambda pair: -pair[0])])
    precision = right / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0], right])) > 0
    return float(best[steps].sum() / truths)


def measure(finder: MaskRcnn, photos: Sequence[data.Photo]) -> dict[str, float]:
    """Average precision of each class's masks at an IoU of 0.5, their mean, and the mean IoU of right detections."""
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


class InstanceTraining(GradientTraining):
    """The network, and the photos with objects that it learns from."""

    kind = "instances"
    judged_by = "mask AP50"
    may_change = frozenset({"iterations", "validate_every", "validate_at_most", "save_every"})

    def __init__(
        self,
        network: nn.Module,
        architecture: str,
        regions: tuple[Region, ...],
        train: list[data.Photo],
        held: list[data.Photo],
        settings: InstanceSettings,
        card: dict[str, str],
    ) -> None:
        self.network, self.architecture, self.regions = network, architecture, regions
        self.train, self.held, self.options, self.card = train, held, settings, card
        optimizer = torch.optim.SGD(
            [p for p in network.parameters() if p.requires_grad], settings.lr, 0.9, weight_decay=5e-4
        )
        known = {**asdict(settings), "architecture": architecture, "classes": [r.name for r in regions]}
        # torchvision's detection networks are trained in fp32
        super().__init__(network, optimizer, settings.iterations, settings.seed, known, clip=10.0, dtype=torch.float32)

    def step(self, iteration: int) -> dict[str, float]:
        s = self.options
        batch = data.draw(self.train, len(self.regions), s.batch, (s.seed, self.world.turn(iteration)))
        rate = min(1.0, (iteration + 1) / 50) * 0.5 * (1 + math.cos(math.pi * iteration / s.iterations))
        for group in self.optimizer.param_groups:
            group["lr"] = s.lr * rate
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()  # a batch of two gives poor estimates of the statistics
        targets = [{k: v.to(self.device) for k, v in target.items()} for _, target in batch]
        losses: dict[str, Any] = self.network([image.to(self.device) for image, _ in batch], targets)
        loss = torch.stack(list(losses.values())).sum()
        self.descend(loss)
        return {"loss": float(loss.detach()), **{k: float(v.detach()) for k, v in losses.items()}}

    def validate(self) -> dict[str, float]:
        step = max(1, len(self.held) // self.options.validate_at_most)
        return measure(MaskRcnn("trained", self.network, self.regions), self.held[::step])

    def keep(self, folder: Path, iteration: int, values: dict[str, float]) -> None:
        s, path = self.options, folder / BEST
        facts = {"iteration": str(iteration), **self.card}
        mask_rcnn.save(path, self.network, self.regions, self.architecture, facts)
        where = "held back" if self.held != self.train else "TRAINED ON"
        write_card(
            path,
            f"Mask R-CNN trained with segnst ({self.architecture}, {iteration} iterations).",
            {
                **self.card,
                "training": f"batch {s.batch}, learning rate {s.lr:g}, seed {s.seed}; {len(self.train)} photos",
                "classes": ", ".join(r.name for r in self.regions[1:]),
            },
            Table((f"measured on {len(self.held)} photos that were {where}", "value"), list(values.items()), digits=3),
        )
