"""What a style network is trained for: the loss of a painted photo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.device import mixed_precision, training_dtype
from segnst.errors import UsageError
from segnst.perceptual.encoders import Encoder
from segnst.perceptual.losses import gram, instance_normalized
from segnst.perceptual.spots import spots
from segnst.perceptual.style_terms import StyleTerms

STRIDE = 8  # px after which patterns of the upsampling repeat
ROOT_AT = 0.03  # difference of Gram matrices at which its root has the gradient of the difference itself
EXCESS = 4.0  # ratio of energies


@dataclass(frozen=True)
class Painting:
    """A style to learn: its picture [1,3,H,W] in [0,1], and factors on the loss weights for this style."""

    name: str
    rgb: Tensor
    content: float = 1.0
    style: float = 1.0
    temporal: float = 1.0


@dataclass(frozen=True)
class Wanted:
    """The targets of a batch: Gram matrices [B,C,C] by layer for both encoders, and factors [B] on the loss weights."""

    grams: dict[str, Tensor]
    deep: dict[str, Tensor]
    content: Tensor
    style: Tensor
    temporal: Tensor

    def replaced(self, at: int, other: Wanted) -> Wanted:
        """A copy in which the target at index ``at`` is the only one of ``other``."""

        def put(mine: Tensor, new: Tensor) -> Tensor:
            return torch.cat((mine[:at], new.to(mine), mine[at + 1 :]))

        return Wanted(
            {k: put(v, other.grams[k]) for k, v in self.grams.items()},
            {k: put(v, other.deep[k]) for k, v in self.deep.items()},
            put(self.content, other.content),
            put(self.style, other.style),
            put(self.temporal, other.temporal),
        )


class StyleLoss:
    """Content, structure, style and total variation for some paintings, on one or two encoders.

    encoder  the perceptual network
    deep     a second one, for larger strokes and for structure; without it, ``deep_layers`` are left out and structure
             is compared on ``encoder``
    cheap    whether all terms will also be computed with ``deep`` alone
    """

    def __init__(
        self,
        paintings: Sequence[Painting],
        settings: StyleTerms,
        encoder: Encoder,
        deep: Encoder | None,
        *,
        cheap: bool = False,
    ) -> None:
        self.settings, self.encoder, self.deep = settings, encoder, deep
        encoder.check((*settings.style_layers, settings.content_layer))
        self.deep_layers = settings.deep_layers if deep else ()
        if deep:
            deep.check((*settings.deep_layers, settings.structure_layer))
        if cheap and not deep:
            raise UsageError("Cheap iterations need a second encoder: give --deep-features.")
        device = paintings[0].rgb.device
        self.dtype = training_dtype(device)
        self.targets = self._targets(paintings, encoder, settings.style_layers)
        every = (*settings.style_layers, *self.deep_layers) if cheap else self.deep_layers
        self.deep_targets = self._targets(paintings, deep, every) if deep else {}
        self.content = torch.tensor([p.content for p in paintings], device=device)
        self.style = torch.tensor([p.style for p in paintings], device=device)
        self.temporal = torch.tensor([p.temporal for p in paintings], device=device)

    @staticmethod
    @torch.no_grad()
    def _targets(paintings: Sequence[Painting], encoder: Encoder, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """{layer: Gram matrices [S,C,C]} of the paintings."""
        found = [{layer: gram(f) for layer, f in encoder(p.rgb, layers).items()} for p in paintings]
        return {layer: torch.cat([f[layer] for f in found]) for layer in layers}

    def _features(self, encoder: Encoder, rgb: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features computed in mixed precision and returned in fp32, so that sums over them are accurate."""
        with mixed_precision(rgb.device, self.dtype):
            found = encoder(rgb, layers)
        return {layer: features.float() for layer, features in found.items()}

    def wanted(self, which: Tensor) -> Wanted:
        """The targets for the paintings of indices ``which`` [B]."""
        grams = {layer: target[which] for layer, target in self.targets.items()}
        deep = {layer: target[which] for layer, target in self.deep_targets.items()}
        return Wanted(grams, deep, self.content[which], self.style[which], self.temporal[which])

    @torch.no_grad()
    def wanted_of(self, rgb: Tensor) -> Wanted:
        """The targets for any style picture [1,3,H,W]."""
        grams = {k: gram(f) for k, f in self._features(self.encoder, rgb, self.targets).items()}
        deep = {k: gram(f) for k, f in self._features(self.deep, rgb, self.deep_targets).items()} if self.deep else {}
        one = torch.ones(1, device=rgb.device)
        return Wanted(grams, deep, one, one, one)

    def __call__(self, painted: Tensor, photos: Tensor, wanted: Wanted, *, cheap: bool = False) -> dict[str, Tensor]:
        """Weighted terms [B] by name, for painted [B,3,H,W] of photos [B,3,H,W].

        cheap  compute all terms with the second encoder only
        """
        s = self.settings
        shapes = (s.structure_layer,) if s.structure_weight else ()
        judge = self.deep if cheap and self.deep else self.encoder
        judged = s.content_layer, *s.style_layers
        if judge is self.deep:
            features = deep = self._features(judge, painted, {*judged, *self.deep_layers, *shapes})
        else:
            features = self._features(judge, painted, {*judged, *(() if self.deep else shapes)})
            deep = self._features(self.deep, painted, {*self.deep_layers, *shapes}) if self.deep else features
        with torch.no_grad():
            target = self._features(judge, photos, (s.content_layer,))[s.content_layer]
        kept = (features[s.content_layer] - target).square().mean((1, 2, 3)) / _energy(target)
        terms = {"content": s.content_weight * wanted.content * kept}
        if shapes:
            with torch.no_grad():
                seen = self._features(self.deep or judge, photos, shapes)[s.structure_layer]
            apart = (instance_normalized(deep[s.structure_layer]) - instance_normalized(seen)).square()
            terms["structure"] = s.structure_weight * wanted.content * apart.mean((1, 2, 3))
        weight = s.style_weight / (len(s.style_layers) + len(self.deep_layers)) * wanted.style
        targets = wanted.deep if judge is self.deep else wanted.grams
        for layer in s.style_layers:
            terms[f"style {layer}"] = weight * _apart(features[layer], targets[layer])
        for layer in self.deep_layers:
            terms[f"style deep {layer}"] = weight * _apart(deep[layer], wanted.deep[layer])
        if s.tv_weight:
            terms["total variation"] = s.tv_weight * (
                (painted[..., 1:] - painted[..., :-1]).abs().mean((1, 2, 3))
                + (painted[..., 1:, :] - painted[..., :-1, :]).abs().mean((1, 2, 3))
            )
        terms["lattice"] = s.lattice_weight * lattice(painted)
        if s.spot_weight:
            terms["spots"] = s.spot_weight * spots(photos, painted)
        terms["range"] = s.range_weight * ((painted - 0.5).abs() - 0.5).clamp_min(0).square().mean((1, 2, 3))
        return terms


def _apart(features: Tensor, target: Tensor) -> Tensor:
    """Mean square difference of Gram matrices of features [B,C,h,w] from targets [B,C,C], over their energy: [B].

    Its gradient is that of ``2 sqrt(ROOT_AT * difference)``, because a batch mixes styles that have been learned with
    others that have not, and the square of the latter would drown the former. For the same reason, the energy is that
    of the painted picture over ``EXCESS`` where that is larger, which happens with pictures that are nearly blank.
    """
    painted = gram(features)
    energy = target.square().mean((1, 2)).clamp_min(1e-8)
    energy = torch.maximum(energy, painted.detach().square().mean((1, 2)) / EXCESS)
    apart = (painted - target).square().mean((1, 2)) / energy
    root = 2 * (ROOT_AT * apart + 1e-8).sqrt()
    return apart.detach() + root - root.detach()


def lattice(painted: Tensor) -> Tensor:
    """Mean square of the pattern that repeats with the network's stride, [B], for painted [B,3,H,W].

    Upsampling leaves a pattern at fixed pixel positions (Odena 2016). For each position modulo the stride of 8, the
    mean of the fine detail over a larger window should be zero, as that of strokes is. A pattern that repeats after 2
    or 4 px also repeats after 8.
    """
    batch, _, height, width = painted.shape
    gray = painted.mean(1, keepdim=True)[..., : height // STRIDE * STRIDE, : width // STRIDE * STRIDE]
    fine = gray - F.avg_pool2d(F.pad(gray, (4, 4, 4, 4), mode="reflect"), 9, 1)
    phases = F.pixel_unshuffle(fine, STRIDE)
    window = min(12, *phases.shape[-2:])
    means = F.avg_pool2d(phases, window, max(1, window // 2))
    return means.square().flatten(1).mean(1).view(batch)


def _energy(target: Tensor) -> Tensor:
    return target.square().flatten(1).mean(1).clamp_min(1e-8)
