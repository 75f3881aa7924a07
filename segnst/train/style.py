"""Training one style as a network of its own (``segnst train style``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.device import choose_device
from segnst.errors import OutputError, WeightsError
from segnst.perceptual.encoders import Encoder, load_encoder
from segnst.perceptual.style_loss import Painting, StyleLoss
from segnst.style.checkpoints import FORMAT
from segnst.style.conditional import ConditionalTransformer, from_single, to_single, widened
from segnst.style.transformer import TransformerNetwork
from segnst.style.transformer_files import load_own
from segnst.train.card import last_losses, today, write_card
from segnst.train.photos import Photos, read_photo, resize_short
from segnst.train.run import Report, Run
from segnst.train.run_folder import make_folder
from segnst.train.settings import StyleSettings
from segnst.train.style_training import StyleTraining
from segnst.weights import read_tensors, write_tensors


def _network(init: Path | None, width: int, down: int) -> ConditionalTransformer:
    if init is None:
        return ConditionalTransformer(1, width, down=down)
    single = load_own(*read_tensors(init))
    if not isinstance(single, TransformerNetwork) or single.width != width:
        raise WeightsError(f"{init} is not a transformer network of width {width}.")
    return widened(from_single(single, 1), max(down, single.down))


@dataclass(frozen=True)
class Lesson:
    """What every training of styles needs: settings, device, photos and perceptual networks."""

    settings: StyleSettings
    device: torch.device
    photos: Photos
    encoder: Encoder
    deep: Encoder | None

    def loss(self, paintings: Sequence[Painting]) -> StyleLoss:
        """The loss of these paintings."""
        there = [replace(p, rgb=p.rgb.to(self.device)) for p in paintings]
        return StyleLoss(there, self.settings, self.encoder, self.deep, cheap=self.settings.cheap > 0)


def prepare(
    settings: StyleSettings,
    data: Sequence[Path],
    features: str,
    deep_features: str | None,
    device: str,
    *,
    offline: bool,
) -> Lesson:
    """Load the photos' paths and the encoders, and seed torch. Raises InputError, UsageError, WeightsError."""
    dev = choose_device(device)
    torch.manual_seed(settings.seed)
    photos = Photos(data)
    deep = load_encoder(deep_features, offline=offline).to(dev) if deep_features else None
    return Lesson(settings, dev, photos, load_encoder(features, offline=offline).to(dev), deep)


def read_painting(path: Path, settings: StyleSettings) -> Tensor:
    """A style image [1,3,H,W], scaled to the width ``style_size``. Raises InputError."""
    rgb = read_photo(path)[None]
    size = (max(32, round(rgb.shape[2] * settings.style_size / rgb.shape[3])), settings.style_size)
    return F.interpolate(rgb, size, mode="bilinear", antialias=True).clamp(0, 1)


def train_style(
    painting: Path,
    data: Sequence[Path],
    name: str,
    *,
    out: Path = Path(),
    work: Path = Path("work"),
    settings: StyleSettings = StyleSettings(),  # noqa: B008 - frozen
    features: str = "vgg19",
    deep_features: str | None = None,
    init: Path | None = None,
    title: str = "",
    terms: str = "not stated",
    device: str = "auto",
    restart: bool = False,
    overwrite: bool = False,
    stop_at: int | None = None,
    preview_photos: Sequence[Path] = (),
    save_seconds: float = 120.0,
    offline: bool = False,
    report: Report | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Path:
    """Train and write ``out/name.safetensors`` with its card ``out/name.md``; return the path.

    painting       the style image
    data           folders of photos
    work           folder of checkpoint, curves and previews, from which an interrupted run resumes
    features       "vgg16", "vgg19", "small" or a weights file
    deep_features  a second encoder for larger strokes and for structure
    init           a style to start from, which learns a new style in half the time
    stop_at        end after this many iterations; the learning rate is still planned for ``iterations``
    report         called after every iteration
    tell           called with sentences about what is done
    Raises InputError, OutputError (the style exists and ``overwrite`` is not set), UsageError (also when the loss
    is no longer finite), WeightsError.
    """
    path = out / f"{name}.safetensors"
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; choose another name or allow --overwrite.")
    lesson = prepare(settings, data, features, deep_features, device, offline=offline)
    make_folder(work / name)
    make_folder(out)
    dev, photos = lesson.device, lesson.photos
    tell(
        f"Training a network of its own for {painting.name} on {len(photos.paths)} photos, {settings.iterations} "
        f"steps, with the perceptual network {lesson.encoder.name}. Checkpoint, curves and previews are in "
        f"{work / name}; the same command resumes an interrupted run."
    )
    loss = lesson.loss([Painting(name, read_painting(painting, settings))])
    net = _network(init, settings.width, settings.down).to(dev).train()
    warmup = 0 if init else settings.warmup
    shown = preview_pictures(preview_photos, photos, dev)
    training = StyleTraining(net, loss, photos, settings, sources=[painting.name], shown=shown, warmup=warmup)
    run = Run(training, work / name, restart=restart, save_seconds=save_seconds)
    run.go(stop_at=stop_at, report=report)
    if not run.first_process:
        return path
    metadata = {
        "format": FORMAT,
        "style": name,
        "title": title,
        "width": str(settings.width),
        "blocks": str(net.blocks),
        "input": "RGB in [0,1]",
        "settings": json.dumps(asdict(settings)),
        "terms": terms,
        "date": today(),
    }
    write_tensors(path, to_single(net, [1.0]).state_dict(), metadata)
    about = f"{title or painting.name}, as a transformer network (Johnson 2016) of width {settings.width}. {today()}."
    facts = {"Painting": f"`{painting.name}`"}
    facts |= facts_of(photos, data, features, deep_features, f"`{init.stem}`" if init else "nothing", terms, settings)
    losses = last_losses(
        run.history, 50, "Mean weighted losses of the last 50 iterations, relative to the targets' energy:"
    )
    write_card(path, about, facts, losses)
    return path


def facts_of(
    photos: Photos,
    data: Sequence[Path],
    features: str,
    deep_features: str | None,
    begun: str,
    terms: str,
    settings: StyleSettings,
) -> dict[str, str]:
    """The facts that the model card of every style training states; ``begun`` is what the training started from."""
    judges = [f"`{Path(f).name}`" for f in (features, deep_features) if f]
    return {
        "Photos": f"{len(photos.paths)} from {', '.join(f'`{d.name}`' for d in data)}",
        "Perceptual network": ", ".join(judges),
        "Started from": begun,
        "Terms": terms,
        "Settings": f"`{json.dumps(asdict(settings))}`",
    }


def preview_pictures(paths: Sequence[Path], photos: Photos, device: torch.device, side: int = 192) -> list[Tensor]:
    """The photos that the previews of a training show: ``paths``, or up to three of ``photos``."""
    chosen = paths or photos.paths[:: max(1, len(photos.paths) // 3)][:3]
    return [resize_short(read_photo(p), side)[None].to(device) for p in chosen]
