"""A small perceptual network that answers as VGG19 does: ``segnst train features``.

Every convolution becomes one of low rank, 3x3 to a few channels and 1x1 back to all of them, so that its layers have
the teacher's channels and Gram matrices of both can be compared. The layers are fitted one after another, in closed
form (reduced-rank regression, Izenman 1975; for networks Zhang et al. 2015, arXiv 1505.06798): the teacher's responses
before the rectifier are explained by the *student's* layer below, so that a layer makes good what those before it lost.
The layers beyond the teacher's last are taught by a second, deeper encoder in the same way and then by gradients, with
a Gram-matching term, since no single linear map leads from one network's features to another's.
"""

from __future__ import annotations

import datetime
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import OutputError, SegnstError, UsageError, WeightsError
from segnst.perceptual.encoders import SMALL_FORMAT, Encoder, _normalisation, load_encoder
from segnst.perceptual.losses import content_loss, gram, gram_loss
from segnst.train.curves import draw_curves
from segnst.train.features_fit import Fit, Layer, patches
from segnst.train.photos import Photos
from segnst.weights import write_tensors


@dataclass(frozen=True)
class FeatureSettings:
    """Everything that decides the result.

    ranks       channels between the two convolutions of each layer
    photos      crops a layer is fitted on;  positions  of each crop
    ridge       added to the diagonal of the covariance, as a share of its mean
    iterations  of the training by gradients, of the layers beyond the first teacher's last
    """

    ranks: tuple[tuple[str, int], ...] = (
        ("relu1_1", 20), ("relu1_2", 48),
        ("relu2_1", 96), ("relu2_2", 112),
        ("relu3_1", 144), ("relu3_2", 144), ("relu3_3", 144), ("relu3_4", 128),
        ("relu4_1", 64), ("relu4_2", 32), ("relu4_3", 32), ("relu4_4", 32), ("relu5_1", 32),
    )  # fmt: skip
    photos: int = 150
    positions: int = 500
    crop: int = 160
    ridge: float = 1e-4
    iterations: int = 300
    batch: int = 8
    learning_rate: float = 5e-4
    gram_weight: float = 0.5
    seed: int = 1


@dataclass
class _Run:
    """What a checkpoint holds."""

    layers: dict[str, Layer] = field(default_factory=dict)
    iteration: int = 0
    history: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    optimiser: dict[str, Any] | None = None

    def record(self, iteration: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.history.setdefault(name, []).append((iteration, value))


def student(layers: dict[str, Layer]) -> Encoder:
    """The network that some layers make."""
    return Encoder("small", {n: layers[n] for n in sorted(layers)}, _normalisation())


def _fit_layer(
    layer: str, run: _Run, teacher: Encoder, crops: Sequence[Tensor], below: list[Tensor], settings: FeatureSettings
) -> float:
    """Fit one layer and move ``below``, the student's features under it for each crop, up by it."""
    generator = torch.Generator().manual_seed(settings.seed)
    fit, conv = Fit(), teacher.convs[layer]
    before = [n for n in teacher.layers if n < layer][-1:]
    for k, crop in enumerate(crops):
        x = below[k].float()
        x = F.max_pool2d(x, 2) if before and before[0][4] != layer[4] else x
        t = teacher(crop, before)[before[0]] if before else teacher.first(crop)
        t = F.max_pool2d(t, 2) if before and before[0][4] != layer[4] else t
        y = conv(t)[0]
        at = torch.randint(y[0].numel(), (settings.positions,), generator=generator)
        rows, columns = at // y.shape[-1], at % y.shape[-1]
        fit.add(patches(x, rows, columns), y[:, rows, columns].T)
        below[k] = x.half()
    run.layers[layer], lost = fit.solve(dict(settings.ranks)[layer], settings.ridge)
    _climb(below, run, layer)
    return lost


def _climb(below: list[Tensor], run: _Run, layer: str) -> None:
    one = Encoder("one", {layer: run.layers[layer]}, _normalisation()).convs[layer]
    for k, x in enumerate(below):
        below[k] = F.relu(one(x.float())).half()


def _teach_deep(
    names: Sequence[str],
    run: _Run,
    deep: Encoder,
    crops: Sequence[Tensor],
    below: Sequence[Tensor],
    block: str,
    settings: FeatureSettings,
    save: Callable[[], None],
    report: Callable[[str], None],
) -> None:
    """Train the layers beyond the first teacher's last on its last features (of a block), which stay as they are."""
    # VGG's features run to hundreds; a step of Adam on weights that see them would be far too long
    size = float(torch.stack([b.float().square().mean() for b in below]).mean().sqrt())
    units = {n: size if n == names[0] else 1.0 for n in names}
    net = student({n: (run.layers[n][0] * units[n], *run.layers[n][1:]) for n in names})
    net.requires_grad_(True)
    net.first.requires_grad_(False)
    optimiser = torch.optim.Adam(net.convs.parameters(), settings.learning_rate)
    if run.optimiser is not None:
        optimiser.load_state_dict(run.optimiser)
    with torch.no_grad():
        targets = [{n: f.half() for n, f in deep(c, names).items()} for c in crops]
    while run.iteration < settings.iterations:
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + run.iteration)
        chosen = torch.randint(len(crops), (settings.batch,), generator=generator).tolist()
        x = torch.cat([below[k] for k in chosen]).float() / size
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - run.iteration / settings.iterations)
        terms: dict[str, Tensor] = {}
        at = block
        for layer, conv in net.convs.items():
            x, at = (F.max_pool2d(x, 2) if layer[4] != at else x), layer[4]
            x = F.relu(conv(x))
            target = torch.cat([targets[k][layer] for k in chosen]).float()
            terms[layer] = content_loss(x, target)
            terms[f"gram {layer}"] = settings.gram_weight * gram_loss(x, gram(target))
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            raise UsageError(f"The loss is no longer finite at iteration {run.iteration}; lower --learning-rate.")
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        run.iteration += 1
        run.record(run.iteration, {n: float(v.detach()) for n, v in {"total": total, **terms}.items()})
        if run.iteration % 50 == 0 or run.iteration == settings.iterations:
            state = net.convs.state_dict()
            for n in names:
                run.layers[n] = (state[f"{n}.0.weight"] / units[n], state[f"{n}.1.weight"].clone(),
                                 state[f"{n}.1.bias"].clone())  # fmt: skip
            run.optimiser = optimiser.state_dict()
            report(f"{run.iteration}/{settings.iterations} loss {float(total.detach()):.3f}")
            save()


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


def _load(path: Path, settings: FeatureSettings) -> _Run:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["settings"] != json.dumps(asdict(settings)):
            raise UsageError(f"{path} was written with other settings. Give --restart, or the settings of then.")
        history = {k: [(int(i), float(v)) for i, v in p] for k, p in saved["history"].items()}
        return _Run({k: tuple(v) for k, v in saved["layers"].items()}, saved["iteration"], history, saved["optimiser"])
    except SegnstError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file fails in many ways
        raise WeightsError(f"{path} is not a checkpoint of this training. Give --restart to begin anew.") from error


def train_features(
    data: Sequence[Path],
    name: str = "features_small",
    *,
    teacher: str | Path = "vgg19",
    deep_teacher: str | Path | None = None,
    out: Path = Path("models"),
    work: Path = Path("work"),
    settings: FeatureSettings = FeatureSettings(),  # noqa: B008 - frozen
    terms: str = "not stated",
    restart: bool = False,
    overwrite: bool = False,
    offline: bool = False,
    quiet: bool = False,
) -> Path:
    """Distil and write ``out/name.safetensors`` with its card; return the path.

    teacher  VGG19 or a file of it;  deep_teacher  an encoder for the layers beyond the teacher's last
    work     folder of checkpoint and curves: an interrupted run goes on from there, to the same end
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{error.filename} cannot be made ({error.strerror}).") from error
    checkpoint = folder / "run.pt"
    run = _load(checkpoint, settings) if checkpoint.exists() and not restart else _Run()
    began = time.monotonic()

    def report(text: str) -> None:
        if not quiet:
            print(f"{name} {text}  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    def save() -> None:
        state = {"layers": run.layers, "iteration": run.iteration, "history": run.history, "optimiser": run.optimiser}
        torch.save({**state, "settings": json.dumps(asdict(settings))}, checkpoint.with_suffix(".part"))
        checkpoint.with_suffix(".part").replace(checkpoint)
        draw_curves(run.history, folder / "curves.png")
        (folder / "curves.json").write_text(json.dumps(run.history))

    ranks = dict(settings.ranks)
    shallow = [n for n in first.layers if n in ranks]
    beyond = [n for n in deep.layers if n in ranks and n > shallow[-1]] if deep else []
    generator = torch.Generator().manual_seed(settings.seed)
    crops = [photos.crops(1, settings.crop, generator) for _ in range(settings.photos)]
    held_out = [photos.crops(1, settings.crop, generator) for _ in range(8)]
    with torch.no_grad():
        below = [first.first(c) for c in crops]
        for layer in [*shallow, *beyond]:
            if beyond and layer == beyond[0]:
                foot = list(below)  # the features on which the deep layers stand
            if layer in run.layers:
                if layer in shallow or run.iteration == 0:
                    pooled = layer.endswith("_1") and layer != "relu1_1"
                    below = [(F.max_pool2d(b.float(), 2) if pooled else b).half() for b in below]
                    _climb(below, run, layer)
                continue
            guide = first if layer in shallow else deep
            assert guide is not None
            lost = _fit_layer(layer, run, guide, crops, below, settings)
            report(f"{layer}: rank {run.layers[layer][0].shape[0]}, {lost:.2%} of the variance left out")
            save()
    if deep and beyond:
        _teach_deep(beyond, run, deep, crops, foot, shallow[-1][4], settings, save, report)
    net = student(run.layers)
    table = agreement(net, first, held_out, shallow)
    if deep:
        table |= agreement(net, deep, held_out, beyond)
    return _export(path, run, settings, photos, data, str(teacher), str(deep_teacher or ""), terms, table)


def _export(
    path: Path,
    run: _Run,
    settings: FeatureSettings,
    photos: Photos,
    data: Sequence[Path],
    teacher: str,
    deep: str,
    terms: str,
    table: dict[str, tuple[float, float]],
) -> Path:
    """The fp16 safetensors and its card."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    tensors: dict[str, Tensor] = {}
    for layer, (down, up, bias) in run.layers.items():
        tensors |= {f"{layer}.down": down, f"{layer}.up": up, f"{layer}.bias": bias}
    metadata = {
        "format": SMALL_FORMAT,
        "kind": "perceptual",
        "input": "RGB in [0,1]",
        "settings": json.dumps(asdict(settings)),
        "terms": terms,
        "date": today,
    }
    write_tensors(path, tensors, metadata)
    count = sum(t.numel() for t in tensors.values())
    rows = "\n".join(
        f"| {n} | {run.layers[n][0].shape[0]} of {run.layers[n][1].shape[0]} | {c:.4f} | {g:.4f} |"
        for n, (c, g) in table.items()
    )
    card = f"""# {path.stem}

A perceptual network distilled from VGG19: {count / 1e6:.2f} million parameters, {path.stat().st_size / 1e6:.2f} MB.
{today}.

- Teacher: `{Path(teacher).name}`{f", beyond its last layer `{Path(deep).name}`" if deep else ""}
- Photos: {settings.photos} crops from {len(photos.paths)} in {", ".join(f"`{d.name}`" for d in data)}
- Terms: {terms}
- Settings: `{json.dumps(asdict(settings))}`

Against its teachers on 8 crops that it was not fitted on, relative to the teacher's energy:

| layer | rank | features | Gram matrix |
|---|---|---|---|
{rows}
"""
    path.with_suffix(".md").write_text(card)
    return path
