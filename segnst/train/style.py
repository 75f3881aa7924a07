"""Training of a transformer network for one painting: ``segnst train style``."""

from __future__ import annotations

import datetime
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import OutputError, SegnstError, UsageError, WeightsError
from segnst.flow.warp import inside, warp
from segnst.perceptual.encoders import Encoder, load_encoder
from segnst.perceptual.losses import content_loss, style_loss, style_targets, temporal_loss, total_variation
from segnst.style.transformer import TransformerNetwork
from segnst.train.curves import draw_curves
from segnst.train.photos import Photos, read_photo, resize_short, synthetic_flow
from segnst.weights import read_tensors, write_tensors

FORMAT = "segnst-johnson"


@dataclass(frozen=True)
class StyleSettings:
    """Everything that decides the result; written into the checkpoint and the card.

    Losses are relative to the energy of their targets (segnst.perceptual.losses), so weights are near one another
    for every painting. The first ``warmup`` iterations of a network that starts from nothing learn to repeat the
    photo: a few seconds that spare it the search for the picture through the style loss. ``temporal_from`` is the
    share of the training after which the temporal term joins: earlier it erases the strokes before they are there.
    """

    width: int = 32
    iterations: int = 400
    batch: int = 3
    crop: int = 192
    style_size: int = 384
    learning_rate: float = 2e-3
    content_layer: str = "relu2_2"
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu3_4")
    deep_layers: tuple[str, ...] = ("relu4_1",)
    content_weight: float = 5.0
    style_weight: float = 12.0
    deep_weight: float = 4.0
    tv_weight: float = 0.05
    range_weight: float = 20.0
    warmup: int = 40
    temporal_weight: float = 10.0
    temporal_from: float = 0.6
    seed: int = 1


@dataclass
class _Run:
    """What a checkpoint holds besides the tensors."""

    iteration: int = 0
    history: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def record(self, iteration: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.history.setdefault(name, []).append((iteration, value))


class StyleLoss:
    """Content, style and total variation for one painting, on one or two encoders."""

    def __init__(self, painting: Tensor, settings: StyleSettings, encoder: Encoder, deep: Encoder | None) -> None:
        self.settings, self.encoder, self.deep = settings, encoder, deep
        encoder.check((*settings.style_layers, settings.content_layer))
        if deep:
            deep.check(settings.deep_layers)
        self.targets = style_targets(encoder, painting, settings.style_layers)
        self.deep_targets = style_targets(deep, painting, settings.deep_layers) if deep else {}

    def __call__(self, painted: Tensor, photos: Tensor) -> dict[str, Tensor]:
        """Weighted terms by name for painted [B,3,H,W] of photos [B,3,H,W]."""
        s = self.settings
        features = self.encoder(painted, {*s.style_layers, s.content_layer})
        with torch.no_grad():
            target = self.encoder(photos, (s.content_layer,))[s.content_layer]
        terms = {"content": s.content_weight * content_loss(features[s.content_layer], target)}
        for layer, loss in style_loss(features, self.targets).items():
            terms[f"style {layer}"] = s.style_weight * loss
        if self.deep:
            deep_features = self.deep(painted, s.deep_layers)
            for layer, loss in style_loss(deep_features, self.deep_targets).items():
                terms[f"style deep {layer}"] = s.deep_weight * loss
        terms["total variation"] = s.tv_weight * total_variation(painted)
        terms["range"] = s.range_weight * ((painted - 0.5).abs() - 0.5).clamp_min(0).square().mean()
        return terms


def motion_term(net: TransformerNetwork, photos: Tensor, painted: Tensor, generator: torch.Generator) -> Tensor:
    """Styled(moved) against moved(styled) on half of the batch: temporal consistency from still photos."""
    half = max(1, len(photos) // 2)
    flow = synthetic_flow(half, photos.shape[-1], generator).to(photos)
    moved = warp(photos[:half], flow)
    light = 1 + 0.06 * (torch.rand(half, 1, 1, 1, generator=generator) - 0.5)
    noise = 0.01 * torch.randn(moved.shape, generator=generator)
    moved = (moved * light.to(moved) + noise.to(moved)).clamp(0, 1)
    return temporal_loss(net(moved), warp(painted[:half], flow), inside(flow))


def _generator(seed: int, iteration: int) -> torch.Generator:
    """Randomness of one iteration, the same whether the run was interrupted before it or not."""
    return torch.Generator().manual_seed(seed * 1_000_003 + iteration)


def _previews(net: TransformerNetwork, pictures: Sequence[Tensor], path: Path) -> None:
    import cv2

    net.eval()
    with torch.inference_mode():
        rows = [torch.cat((p[0], net(p)[0].clamp(0, 1)), 1) for p in pictures]
    net.train()
    height = max(r.shape[1] for r in rows)
    sheet = torch.cat([F.pad(r, (0, 4, 0, height - r.shape[1]), value=1.0) for r in rows], 2)
    cv2.imwrite(str(path), (sheet.permute(1, 2, 0).flip(-1).cpu().numpy() * 255).round().astype("uint8"))


def _load_run(path: Path, net: torch.nn.Module, optimiser: Any, schedule: Any, settings: StyleSettings) -> _Run:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["settings"] != json.dumps(asdict(settings)):
            raise UsageError(f"{path} was written with other settings. Give --restart, or the settings of then.")
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        schedule.load_state_dict(saved["schedule"])
        return _Run(saved["iteration"], {k: [tuple(p) for p in v] for k, v in saved["history"].items()})
    except SegnstError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file fails in many ways
        raise WeightsError(f"{path} is not a checkpoint of this training. Give --restart to begin anew.") from error


def train_style(
    painting: Path,
    data: Sequence[Path],
    name: str,
    *,
    out: Path = Path("models"),
    work: Path = Path("work"),
    settings: StyleSettings = StyleSettings(),  # noqa: B008 - frozen
    features: str = "vgg19",
    deep_features: str | None = None,
    init: Path | None = None,
    title: str = "",
    terms: str = "not stated",
    device: str = "cpu",
    restart: bool = False,
    overwrite: bool = False,
    stop_at: int | None = None,
    preview_photos: Sequence[Path] = (),
    save_every: float = 120.0,
    offline: bool = False,
    quiet: bool = False,
) -> Path:
    """Train and write ``out/name.safetensors`` with its card ``out/name.md``; return the path.

    painting  the style image; data  folders of photos; features  "vgg16", "vgg19" or a weights file
    deep_features  a second encoder for larger strokes; init  a style to start from (its trunk learns a new
    style in half the time); stop_at  end before ``iterations`` are done, which the learning rate is planned for;
    work  folder of checkpoint, curves and previews: an interrupted run goes on from there.
    Raises InputError, OutputError (the style exists and ``overwrite`` is not set), UsageError (also when the loss
    is no longer finite), WeightsError.
    """
    folder = work / name
    if (out / f"{name}.safetensors").exists() and not overwrite:
        raise OutputError(f"{out / name}.safetensors exists already; choose another name or allow --overwrite.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{error.filename} cannot be made ({error.strerror}).") from error
    checkpoint = folder / "run.pt"
    dev = torch.device(device)
    torch.manual_seed(settings.seed)

    photos = Photos(data)
    style = resize_short(read_photo(painting), settings.style_size)[None].to(dev)
    encoder = load_encoder(features, offline=offline).to(dev)
    deep = load_encoder(deep_features, offline=offline).to(dev) if deep_features else None
    loss_of = StyleLoss(style, settings, encoder, deep)
    net = TransformerNetwork(settings.width).to(dev)
    if init:
        tensors, _ = read_tensors(init)
        try:
            net.load_state_dict({k: v.float() for k, v in tensors.items()})
        except RuntimeError as error:
            raise WeightsError(f"{init} is not a transformer network of width {settings.width}.") from error
    optimiser = torch.optim.Adam(net.parameters(), settings.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.iterations, pct_start=0.15
    )
    scaler = torch.amp.GradScaler(dev.type, enabled=dev.type == "cuda")
    run = _Run()
    if checkpoint.exists() and not restart:
        run = _load_run(checkpoint, net, optimiser, schedule, settings)
    shown = [
        resize_short(read_photo(p), 256)[None].to(dev)
        for p in preview_photos or photos.paths[:: max(1, len(photos.paths) // 3)][:3]
    ]

    def save() -> None:
        state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
        torch.save(
            {**state, "iteration": run.iteration, "history": run.history, "settings": json.dumps(asdict(settings))},
            checkpoint.with_suffix(".part"),
        )
        checkpoint.with_suffix(".part").replace(checkpoint)
        draw_curves(run.history, folder / "curves.png")
        (folder / "curves.json").write_text(json.dumps(run.history))
        _previews(net, shown, folder / f"preview_{run.iteration:05d}.png")

    net.train()
    began = saved = time.monotonic()
    first = run.iteration
    last = min(stop_at or settings.iterations, settings.iterations)
    while run.iteration < last:
        generator = _generator(settings.seed, run.iteration)
        batch = photos.crops(settings.batch, settings.crop, generator).to(dev)
        with torch.autocast(dev.type, torch.float16, enabled=dev.type == "cuda"):
            painted = net(batch)
        if init is None and run.iteration < settings.warmup:
            losses = {"repeat": 100 * (painted.float() - batch).square().mean()}
        else:
            losses = loss_of(painted.float(), batch)
        if run.iteration >= settings.temporal_from * settings.iterations and settings.temporal_weight:
            losses["temporal"] = settings.temporal_weight * motion_term(net, batch, painted.float(), generator)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise UsageError(
                f"The loss is no longer finite at iteration {run.iteration}; the last good state is {checkpoint}. "
                "Lower --learning-rate or --style-weight."
            )
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimiser)
        scaler.update()
        schedule.step()
        run.iteration += 1
        values = {k: float(v.detach()) for k, v in losses.items()}
        run.record(run.iteration, {"total": float(total.detach())} | values)
        now = time.monotonic()
        if not quiet and (run.iteration % 10 == 0 or run.iteration == settings.iterations):
            pace = (now - began) / (run.iteration - first)
            style_sum = sum(v for k, v in values.items() if k.startswith("style"))
            print(
                f"{name} {run.iteration}/{settings.iterations}  content {values.get('content', 0):.3f}"
                f"  style {style_sum:.3f}  {pace:.2f} s an iteration"
                f"  {(settings.iterations - run.iteration) * pace / 60:.0f} min left",
                file=sys.stderr,
                flush=True,
            )
        if now - saved > save_every:
            save()
            saved = now
    save()
    return _export(net, name, out, run, settings, painting, data, photos, features, deep_features, init, title, terms)


def _export(
    net: TransformerNetwork,
    name: str,
    out: Path,
    run: _Run,
    settings: StyleSettings,
    painting: Path,
    data: Sequence[Path],
    photos: Photos,
    features: str,
    deep_features: str | None,
    init: Path | None,
    title: str,
    terms: str,
) -> Path:
    """The fp16 safetensors and its card."""
    path = out / f"{name}.safetensors"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    last = {k: sum(v for _, v in p[-50:]) / len(p[-50:]) for k, p in run.history.items()}
    metadata = {
        "format": FORMAT,
        "style": name,
        "title": title,
        "width": str(settings.width),
        "blocks": str(net.blocks),
        "input": "RGB in [0,1]",
        "settings": json.dumps(asdict(settings)),
        "terms": terms,
        "date": today,
    }
    write_tensors(path, net.state_dict(), metadata)
    rows = "\n".join(f"| {k} | {v:.4f} |" for k, v in last.items())
    card = f"""# {name}

{title or painting.name}, as a transformer network (Johnson 2016) of width {settings.width}. {today}.

- Painting: `{painting.name}`
- Photos: {len(photos.paths)} from {", ".join(f"`{d.name}`" for d in data)}
- Perceptual network: `{Path(features).name}`{f", `{Path(deep_features).name}`" if deep_features else ""}
- Started from: {f"`{init.stem}`" if init else "nothing"}
- Terms: {terms}
- Settings: `{json.dumps(asdict(settings))}`

Mean of the last 50 iterations, weighted, relative to the targets' energy:

| term | value |
|---|---|
{rows}
"""
    (out / f"{name}.md").write_text(card)
    return path
