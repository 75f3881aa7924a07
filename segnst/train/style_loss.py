"""What a transformer network learns from: settings, the loss of a painted photo, steadiness under motion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.device import mixed_precision, training_dtype
from segnst.errors import UsageError
from segnst.perceptual.encoders import Encoder
from segnst.perceptual.losses import instance_normalized, moments
from segnst.perceptual.spots import spots


@dataclass(frozen=True)
class StyleSettings:
    """Everything that decides the result; written into the checkpoint and the card.

    Losses are relative to the energy of their targets (segnst.perceptual.losses), so weights are near one another
    for every painting. ``down`` is the side of the kernels that halve the picture. ``structure`` compares features
    after instance normalization: it holds shapes, a face, a number plate, while colors and contrast are the
    painting's to choose; ``content`` holds both. Style is compared by means and covariances
    (segnst.perceptual.losses.moments), on ``deep_layers`` for large strokes. ``lattice_weight`` is against the grid of
    the upsampling (see ``lattice``), ``spot_weight`` against bubbles on smooth surfaces (segnst.perceptual.spots);
    ``plain_share`` of the crops show nothing else. The first ``warmup`` iterations of a net that starts from nothing
    learn to repeat the photo, weighed by ``repeat_weight``: a few seconds that spare it the search for the picture
    through the style loss. ``temporal_from`` is the share of the training after which the temporal term joins: earlier
    it erases the strokes before they are there. The identity of a collection learns in ``identity_steps`` of its own
    at the end.
    """

    width: int = 32
    down: int = 5
    iterations: int = 400
    batch: int = 3
    crop: int = 192
    style_size: int = 384
    learning_rate: float = 2e-3
    style_rate: float = 1.0  # of the scales and shifts, times the learning rate
    content_layer: str = "relu2_2"
    structure_layer: str = "relu3_4"
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1")
    deep_layers: tuple[str, ...] = ("relu3_4", "relu4_1")
    content_weight: float = 1.5
    structure_weight: float = 5.0
    style_weight: float = 6.0
    deep_weight: float = 4.0
    tv_weight: float = 0.05
    range_weight: float = 20.0
    lattice_weight: float = 3000.0
    spot_weight: float = 30000.0
    plain_share: float = 0.06
    repeat_weight: float = 100.0
    identity_steps: int = 0
    teacher_weight: float = 300.0
    warmup: int = 40
    temporal_weight: float = 10.0
    temporal_from: float = 0.6
    seed: int = 1


@dataclass(frozen=True)
class Painting:
    """A style to learn: its picture [1,3,H,W] in [0,1] and its own factors on the weights of the settings."""

    name: str
    rgb: Tensor
    content: float = 1.0
    style: float = 1.0
    temporal: float = 1.0


class StyleLoss:
    """Content, structure, style and total variation for some paintings, on one or two encoders.

    encoder  the perceptual network; deep  a second one for larger strokes and for structure.
    Without it, the layers that it would have given are left out and structure is compared on ``encoder``
    at the content layer.
    """

    def __init__(
        self, paintings: Sequence[Painting], settings: StyleSettings, encoder: Encoder, deep: Encoder | None
    ) -> None:
        self.settings, self.encoder, self.deep = settings, encoder, deep
        encoder.check((*settings.style_layers, settings.content_layer))
        self.deep_layers = settings.deep_layers if deep else ()
        if deep:
            deep.check((*settings.deep_layers, settings.structure_layer))
        device = paintings[0].rgb.device
        self.dtype = training_dtype(device)
        self.targets = self._targets(paintings, encoder, settings.style_layers)
        self.deep_targets = self._targets(paintings, deep, self.deep_layers) if deep else {}
        self.content = torch.tensor([p.content for p in paintings], device=device)
        self.style = torch.tensor([p.style for p in paintings], device=device)
        self.temporal = torch.tensor([p.temporal for p in paintings], device=device)

    @staticmethod
    @torch.no_grad()
    def _targets(
        paintings: Sequence[Painting], encoder: Encoder, layers: tuple[str, ...]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """{layer: (means [S,C], covariances [S,C,C])}"""
        found = [{layer: moments(f) for layer, f in encoder(p.rgb, layers).items()} for p in paintings]
        return {
            layer: (torch.cat([f[layer][0] for f in found]), torch.cat([f[layer][1] for f in found]))
            for layer in layers
        }

    def _features(self, encoder: Encoder, rgb: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The encoder in mixed precision; what is summed from its features, in fp32."""
        with mixed_precision(rgb.device, self.dtype):
            found = encoder(rgb, layers)
        return {layer: features.float() for layer, features in found.items()}

    def __call__(self, painted: Tensor, photos: Tensor, which: Tensor) -> dict[str, Tensor]:
        """Weighted terms [B] by name, for painted [B,3,H,W] of photos [B,3,H,W], each in the style ``which`` [B]."""
        s = self.settings
        features = self._features(self.encoder, painted, {*s.style_layers, s.content_layer})
        deep = self._features(self.deep, painted, {*self.deep_layers, s.structure_layer}) if self.deep else {}
        with torch.no_grad():
            target = self._features(self.encoder, photos, (s.content_layer,))[s.content_layer]
            shapes = target
            if self.deep:
                shapes = self._features(self.deep, photos, (s.structure_layer,))[s.structure_layer]
        found = deep[s.structure_layer] if self.deep else features[s.content_layer]
        kept = (features[s.content_layer] - target).square().mean((1, 2, 3)) / _energy(target)
        structure = (instance_normalized(found) - instance_normalized(shapes)).square().mean((1, 2, 3))
        terms = {
            "content": s.content_weight * self.content[which] * kept,
            "structure": s.structure_weight * self.content[which] * structure,
        }
        for prefix, weight, of, targets in (
            ("style", s.style_weight, features, self.targets),
            ("style deep", s.deep_weight, deep, self.deep_targets),
        ):
            for layer, (means, covariances) in targets.items():
                mean, covariance = moments(of[layer])
                colors = (mean - means[which]).square().mean(1) / _energy(means[which])
                strokes = (covariance - covariances[which]).square().mean((1, 2)) / _energy(covariances[which])
                terms[f"{prefix} {layer}"] = weight * self.style[which] * (strokes + 2 * colors)
        terms["total variation"] = s.tv_weight * (
            (painted[..., 1:] - painted[..., :-1]).abs().mean((1, 2, 3))
            + (painted[..., 1:, :] - painted[..., :-1, :]).abs().mean((1, 2, 3))
        )
        terms["lattice"] = s.lattice_weight * lattice(painted)
        if s.spot_weight:
            terms["spots"] = s.spot_weight * spots(photos, painted)
        terms["range"] = s.range_weight * ((painted - 0.5).abs() - 0.5).clamp_min(0).square().mean((1, 2, 3))
        return terms


def lattice(painted: Tensor) -> Tensor:
    """Mean square of what repeats with the network's stride, [B], for painted [B,3,H,W].

    A resize-convolution leaves a pattern that is fixed to its pixels (Odena 2016): the mean of the fine detail over all
    pixels of one phase, modulo the stride of 4, ought to be nought in any larger window, and strokes average out there.
    """
    batch, _, height, width = painted.shape
    gray = painted.mean(1, keepdim=True)[..., : height // 4 * 4, : width // 4 * 4]
    fine = gray - F.avg_pool2d(F.pad(gray, (4, 4, 4, 4), mode="reflect"), 9, 1)
    phases = F.pixel_unshuffle(fine, 4)
    window = min(16, *phases.shape[-2:])
    means = F.avg_pool2d(phases, window, max(1, window // 2))
    return means.square().flatten(1).mean(1).view(batch)


def _energy(target: Tensor) -> Tensor:
    return target.square().flatten(1).mean(1).clamp_min(1e-8)


def check_settings(settings: StyleSettings) -> None:
    """Raise UsageError for settings that no training can begin with."""
    if settings.iterations < 1 or settings.batch < 1:
        raise UsageError("Iterations and batch must be at least 1.")
    if settings.crop < 32 or settings.style_size < 32:
        raise UsageError("Crops and paintings must measure at least 32 px.")
