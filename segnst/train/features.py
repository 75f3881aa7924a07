"""A small perceptual network that answers as VGG19 does: ``segnst train features``.

Every convolution becomes one of low rank, 3x3 to a few channels and 1x1 back to all of them, so that its layers have
the teacher's channels and Gram matrices of both can be compared. The layers are fitted one after another, in closed
form (reduced-rank regression, Izenman 1975; for networks Zhang et al. 2015, arXiv 1505.06798): the teacher's responses
before the rectifier are explained by the *student's* layer below, so that a layer makes good what those before it lost.
The layers beyond the teacher's last are fitted to a second, deeper encoder in the same way.

There are no gradients in it: tuning the deep layers with Adam (features and Gram matrices, rates of 2e-3 and 5e-4)
ended farther from the teacher than the fit it began with.
"""

from __future__ import annotations

import datetime
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import OutputError, SegnstError, UsageError, WeightsError
from segnst.perceptual.encoders import SMALL_FORMAT, Encoder, load_encoder, normalization
from segnst.perceptual.losses import content_loss, gram, gram_loss
from segnst.train.features_fit import Fit, Layer, patches
from segnst.train.photos import Photos
from segnst.weights import write_tensors


@dataclass(frozen=True)
class FeatureSettings:
    """Everything that decides the result.

    ranks       channels between the two convolutions of each layer
    photos      crops a layer is fitted on;  positions  of each crop
    ridge       added to the diagonal of the covariance, as a share of its mean
    """

    ranks: tuple[tuple[str, int], ...] = (
        ("relu1_1", 20), ("relu1_2", 48),
        ("relu2_1", 96), ("relu2_2", 112),
        ("relu3_1", 144), ("relu3_2", 144), ("relu3_3", 144), ("relu3_4", 128),
        ("relu4_1", 64), ("relu4_2", 56), ("relu4_3", 56), ("relu4_4", 56), ("relu5_1", 56),
    )  # fmt: skip
    photos: int = 150
    positions: int = 500
    crop: int = 160
    ridge: float = 1e-4
    seed: int = 1


def student(layers: dict[str, Layer]) -> Encoder:
    """The network that some layers make."""
    return Encoder("small", {n: layers[n] for n in sorted(layers)}, normalization())


def _fit_layer(
    layer: str,
    layers: dict[str, Layer],
    teacher: Encoder,
    crops: Sequence[Tensor],
    below: list[Tensor],
    settings: FeatureSettings,
) -> float:
    """Add one layer to ``layers`` and move ``below``, the student's features under it for each crop, up by it."""
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
    layers[layer], lost = fit.solve(dict(settings.ranks)[layer], settings.ridge)
    _climb(below, layers, layer)
    return lost


def _climb(below: list[Tensor], layers: dict[str, Layer], layer: str) -> None:
    one = Encoder("one", {layer: layers[layer]}, normalization()).convs[layer]
    for k, x in enumerate(below):
        below[k] = F.relu(one(x.float())).half()


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


def _load(path: Path, settings: FeatureSettings) -> dict[str, Layer]:
    """The layers that an interrupted run has fitted already. Raises UsageError, WeightsError."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["settings"] != json.dumps(asdict(settings)):
            raise UsageError(f"{path} was written with other settings. Give --restart, or the settings of then.")
        return {name: (down, up, bias) for name, (down, up, bias) in saved["layers"].items()}
    except SegnstError:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise WeightsError(f"{path} is not a checkpoint of this training. Give --restart to begin anew.") from error


def train_features(
    data: Sequence[Path],
    name: str = "features_small",
    *,
    teacher: str | Path = "vgg19",
    deep_teacher: str | Path | None = None,
    out: Path = Path("models"),
    work: Path = Path("work"),
    settings: FeatureSettings = FeatureSettings(),
    terms: str = "not stated",
    restart: bool = False,
    overwrite: bool = False,
    offline: bool = False,
    quiet: bool = False,
) -> Path:
    """Distil and write ``out/name.safetensors`` with its card; return the path.

    teacher  VGG19 or a file of it;  deep_teacher  an encoder for the layers beyond the teacher's last
    work     folder of the checkpoint: an interrupted run goes on from there, layer by layer, to the same end
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
    layers = _load(checkpoint, settings) if checkpoint.exists() and not restart else {}
    began = time.monotonic()

    ranks = dict(settings.ranks)
    shallow = [n for n in first.layers if n in ranks]
    beyond = [n for n in deep.layers if n in ranks and n > shallow[-1]] if deep else []
    generator = torch.Generator().manual_seed(settings.seed)
    crops = [photos.crops(1, settings.crop, generator) for _ in range(settings.photos)]
    held_out = [photos.crops(1, settings.crop, generator) for _ in range(8)]
    with torch.no_grad():
        below = [first.first(c) for c in crops]
        for layer in [*shallow, *beyond]:
            if layer in layers:
                pooled = layer.endswith("_1") and layer != "relu1_1"
                below = [(F.max_pool2d(b.float(), 2) if pooled else b).half() for b in below]
                _climb(below, layers, layer)
                continue
            guide = first if layer in shallow else deep
            assert guide is not None
            lost = _fit_layer(layer, layers, guide, crops, below, settings)
            torch.save({"layers": layers, "settings": json.dumps(asdict(settings))}, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
            if not quiet:
                print(
                    f"{name} {layer}: rank {layers[layer][0].shape[0]}, {lost:.2%} of the variance left out  "
                    f"{time.monotonic() - began:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
    net = student(layers)
    table = agreement(net, first, held_out, shallow)
    if deep:
        table |= agreement(net, deep, held_out, beyond)
    return _export(path, layers, settings, photos, data, str(teacher), str(deep_teacher or ""), terms, table)


def _export(
    path: Path,
    layers: dict[str, Layer],
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
    for layer, (down, up, bias) in layers.items():
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
        f"| {n} | {layers[n][0].shape[0]} of {layers[n][1].shape[0]} | {c:.4f} | {g:.4f} |"
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
