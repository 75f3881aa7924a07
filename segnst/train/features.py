"""Distilling VGG19 into a small perceptual network: ``segnst train features``.

Every convolution is replaced by one of low rank: 3x3 to a few channels, then 1x1 back to all of them. The layers thus
have the teacher's channels, and Gram matrices of both can be compared. They are fitted one after another in closed form
(reduced-rank regression, Izenman 1975; for networks Zhang et al. 2015, arXiv 1505.06798): the teacher's responses
before the rectifier are predicted from the *student's* layer below, so that each layer corrects errors of the earlier
ones. Layers beyond the teacher's last are fitted to a second, deeper encoder in the same way.

No gradient descent follows: tuning the deep layers with Adam (on features and Gram matrices, at rates of 2e-3 and 5e-4)
ended farther from the teacher than the closed-form fit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import OutputError, WeightsError
from segnst.perceptual.encoders import SMALL_FORMAT, Encoder, load_encoder, normalization
from segnst.perceptual.losses import content_loss, gram, gram_loss
from segnst.train.card import Table, today, write_card
from segnst.train.features_fit import Fit, Layer, patches
from segnst.train.photos import Photos
from segnst.train.run import Report, Run
from segnst.train.run_folder import make_folder
from segnst.train.settings import FeatureSettings
from segnst.train.training import Training
from segnst.weights import write_tensors


def student(layers: dict[str, Layer]) -> Encoder:
    """The student network made of the layers fitted so far."""
    return Encoder("small", {n: layers[n] for n in sorted(layers)}, normalization())


class FeatureTraining(Training):
    """Trains a student of one or two teachers; each step fits its next layer.

    crops  what the layers are fitted on, [1,3,H,W] each
    names  names of the teachers
    """

    kind = "features"
    remedy = "Give --restart with other --photos or a larger --crop."

    def __init__(
        self,
        first: Encoder,
        deep: Encoder | None,
        names: Sequence[str],
        crops: Sequence[Tensor],
        settings: FeatureSettings,
    ) -> None:
        ranks = dict(settings.ranks)
        self.shallow = [n for n in first.layers if n in ranks]
        self.beyond = [n for n in deep.layers if n in ranks and n > self.shallow[-1]] if deep else []
        self.order = [*self.shallow, *self.beyond]
        self.guides = dict.fromkeys(self.shallow, first)
        if deep is not None:
            self.guides |= dict.fromkeys(self.beyond, deep)
        self.crops, self.options = crops, settings
        self.layers: dict[str, Layer] = {}
        known = {**asdict(settings), "teachers": list(names)}
        super().__init__(len(self.order), settings.seed, known, torch.device("cpu"))
        with torch.no_grad():
            self.below = [first.first(c) for c in crops]  # the student's features under its next layer

    @torch.no_grad()
    def step(self, iteration: int) -> dict[str, float]:
        layer, s = self.order[iteration], self.options
        teacher = self.guides[layer]
        generator = torch.Generator().manual_seed(s.seed)
        fit, conv = Fit(), teacher.convs[layer]
        before = [n for n in teacher.layers if n < layer][-1:]
        pooled = bool(before) and before[0][4] != layer[4]
        for k, crop in enumerate(self.crops):
            x = self.below[k].float()
            x = F.max_pool2d(x, 2) if pooled else x
            t = teacher(crop, before)[before[0]] if before else teacher.first(crop)
            t = F.max_pool2d(t, 2) if pooled else t
            y = conv(t)[0]
            at = torch.randint(y[0].numel(), (s.positions,), generator=generator)
            rows, columns = at // y.shape[-1], at % y.shape[-1]
            fit.add(patches(x, rows, columns), y[:, rows, columns].T)
            self.below[k] = x.half()
        self.layers[layer], lost = fit.solve(dict(s.ranks)[layer], s.ridge)
        self._climb(layer)
        return {"rank": float(self.layers[layer][0].shape[0]), "variance left out": lost}

    @torch.no_grad()
    def _climb(self, layer: str) -> None:
        """Advance ``below`` through a layer that has been fitted."""
        one = Encoder("one", {layer: self.layers[layer]}, normalization()).convs[layer]
        for k, x in enumerate(self.below):
            self.below[k] = F.relu(one(x.float())).half()

    def state(self) -> dict[str, Any]:
        return {"layers": self.layers}

    def load(self, state: dict[str, Any]) -> None:
        self.layers = {name: (down, up, bias) for name, (down, up, bias) in state["layers"].items()}
        for layer in self.order[: len(self.layers)]:
            if layer.endswith("_1") and layer != "relu1_1":
                self.below = [F.max_pool2d(b.float(), 2).half() for b in self.below]
            else:
                self.below = [b.half() for b in self.below]
            self._climb(layer)


def agreement(
    net: Encoder, teacher: Encoder, crops: Sequence[Tensor], names: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """{layer: (content loss, Gram loss)} of a student's features against the teacher's, mean over crops [1,3,H,W]."""
    sums = {n: [0.0, 0.0] for n in names}
    with torch.no_grad():
        for crop in crops:
            have, want = net(crop, names), teacher(crop, names)
            for n in names:
                sums[n][0] += float(content_loss(have[n], want[n])) / len(crops)
                sums[n][1] += float(gram_loss(have[n], gram(want[n]))) / len(crops)
    return {n: (a, b) for n, (a, b) in sums.items()}


def train_features(
    data: Sequence[Path],
    name: str = "features_small",
    *,
    teacher: str | Path = "vgg19",
    deep_teacher: str | Path | None = None,
    out: Path = Path(),
    work: Path = Path("work"),
    settings: FeatureSettings = FeatureSettings(),  # noqa: B008 - frozen
    terms: str = "not stated",
    restart: bool = False,
    overwrite: bool = False,
    stop_at: int | None = None,
    offline: bool = False,
    report: Report | None = None,
) -> Path:
    """Distill a teacher and write ``out/name.safetensors`` with its card; return the path.

    teacher       VGG19 or a file of it
    deep_teacher  an encoder for the layers beyond the teacher's last
    work          folder of the checkpoint, from which an interrupted run resumes with the same result
    stop_at       end when this many layers are fitted; the file then has only those
    Raises InputError, OutputError, UsageError, WeightsError.
    """
    path, folder = out / f"{name}.safetensors", work / name
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; choose another name or allow --overwrite.")
    photos = Photos(data)
    first = load_encoder(teacher, offline=offline)
    if first.name == "small":
        raise WeightsError("The teacher must be VGG itself, not an encoder distilled from it.")
    deep = load_encoder(deep_teacher, offline=offline) if deep_teacher else None
    make_folder(out)
    generator = torch.Generator().manual_seed(settings.seed)
    crops = [photos.crops(1, settings.crop, generator) for _ in range(settings.photos)]
    held_out = [photos.crops(1, settings.crop, generator) for _ in range(8)]
    names = [Path(t).name for t in (teacher, deep_teacher) if t]
    training = FeatureTraining(first, deep, names, crops, settings)
    run = Run(training, folder, restart=restart, save_every=1)
    run.go(stop_at=stop_at, report=report)
    if not run.first_process:
        return path
    layers = training.layers
    net = student(layers)
    table = agreement(net, first, held_out, [n for n in training.shallow if n in layers])
    if deep:
        table |= agreement(net, deep, held_out, [n for n in training.beyond if n in layers])
    _export(path, layers, settings, terms)
    count = sum(t.numel() for layer in layers.values() for t in layer)
    about = (
        f"A perceptual network distilled from VGG19: {count / 1e6:.2f} million parameters, "
        f"{path.stat().st_size / 1e6:.2f} MB. {today()}."
    )
    facts = {
        "Teacher": f"`{names[0]}`" + (f"; for the layers beyond its last, `{names[1]}`" if deep else ""),
        "Photos": f"{settings.photos} crops from {len(photos.paths)} in {', '.join(f'`{d.name}`' for d in data)}",
        "Terms": terms,
        "Settings": f"`{json.dumps(asdict(settings))}`",
    }
    rows = [(n, f"{layers[n][0].shape[0]} of {layers[n][1].shape[0]}", c, g) for n, (c, g) in table.items()]
    title = "Differences from the teachers on 8 crops that were not used for fitting, relative to the teacher's energy:"
    write_card(path, about, facts, Table(("layer", "rank", "features", "Gram matrix"), rows, title))
    return path


def _export(path: Path, layers: dict[str, Layer], settings: FeatureSettings, terms: str) -> None:
    """Write the layers as safetensors, fp16."""
    tensors: dict[str, Tensor] = {}
    for layer, (down, up, bias) in layers.items():
        tensors |= {f"{layer}.down": down, f"{layer}.up": up, f"{layer}.bias": bias}
    metadata = {
        "format": SMALL_FORMAT,
        "kind": "perceptual",
        "input": "RGB in [0,1]",
        "settings": json.dumps(asdict(settings)),
        "terms": terms,
        "date": today(),
    }
    write_tensors(path, tensors, metadata)
