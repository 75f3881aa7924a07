"""What a picture is optimized for: content, style (per region), total variation and temporal consistency.

For a picture x with features F_l(x), the content c and paintings p (Gatys 2016, eq. 7, every term relative):

    total    = content_weight * content + style_weight * style + tv_weight * tv + temporal_weight * temporal
    content  = Σ_l w_l ‖F_l(x) − F_l(c)‖² / ‖F_l(c)‖²        over content layers, Σ w_l = 1
    style    = Σ_r a_r Σ_l w_l ‖G_lr(x) − A_lr‖² / ‖A_lr‖²    over regions and style layers, Σ w_l = 1
    tv       = mean |difference of neighbors|, both directions
    temporal = mean square difference to the warped last picture where the flow is reliable (Ruder 2016, eq. 7)

G_lr is the Gram matrix over the positions of region r, weighted by its soft mask (Gatys 2017, arXiv 1611.07865, eq. 5),
A_lr that of its paintings (weighted mean of several), a_r the region's share of all that is painted, so that a pixel
counts the same in a small region and in a large one. The paper does not divide by the energy of the target, so that its
weights fit one network, one normalization and one painting only; these carry over to others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.perceptual.encoders import Encoder
from segnst.perceptual.loss_weights import LossWeights
from segnst.perceptual.losses import content_loss, gram, temporal_loss, total_variation

CONTENT_LAYERS = ("relu4_2", "relu3_4", "relu3_3", "relu2_2")  # the first of these that the encoder has
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # all of these that it has


def choose_layers(weights: LossWeights, encoder: Encoder) -> tuple[dict[str, float], dict[str, float]]:
    """Content and style layers with weights that sum to 1. Raises UsageError for unknown layers."""
    content = dict(weights.content_layers)
    style = dict(weights.style_layers)
    if not content:
        content = {next((n for n in CONTENT_LAYERS if n in encoder.layers), encoder.layers[-1]): 1.0}
    if not style:
        known = [n for n in STYLE_LAYERS if n in encoder.layers]
        # an encoder that ends in the third block offers its last layer in place of the fourth block's
        known += [encoder.layers[-1]] if encoder.layers[-1][4] == "3" and encoder.layers[-1] not in known else []
        style = dict.fromkeys(known or [encoder.layers[-1]], 1.0)
    encoder.check((*content, *style))
    sums = (sum(content.values()), sum(style.values()))
    return {n: w / sums[0] for n, w in content.items()}, {n: w / sums[1] for n, w in style.items()}


@dataclass(frozen=True)
class StyleRegion:
    """What one region should look like.

    paintings  (RGB [1,3,h,w] in [0,1], weight), weights summing to 1
    mask       [1,1,H,W] in [0,1], None for everywhere
    name       for the names of the losses, empty where there is only one region
    """

    paintings: Sequence[tuple[Tensor, float]]
    mask: Tensor | None = None
    name: str = ""


def _guided_gram(features: Tensor, guide: Tensor | None) -> Tensor:
    """Gram matrix [1,C,C] over a guide [1,1,h,w] that sums to 1, or over all positions."""
    if guide is None:
        return gram(features)
    return (features * guide).flatten(2) @ features.flatten(2).transpose(1, 2)


class Objective:
    """The loss of pictures of one size. Targets are computed once, when it is built.

    content    RGB [1,3,H,W] in [0,1]
    last, reliable   the warped last picture [1,3,H,W] and where it can be trusted [1,1,H,W], for video
    Raises UsageError for unknown layers, and for layers that are too deep for the picture or a painting.
    """

    def __init__(
        self,
        encoder: Encoder,
        weights: LossWeights,
        content: Tensor,
        regions: Sequence[StyleRegion],
        *,
        last: Tensor | None = None,
        reliable: Tensor | None = None,
    ) -> None:
        self.encoder, self.weights = encoder, weights
        self.content_layers, self.style_layers = choose_layers(weights, encoder)
        if not weights.content_weight:
            self.content_layers = {}
        if not weights.style_weight or not regions:
            self.style_layers = {}
        self.layers = {*self.content_layers, *self.style_layers}
        self.last, self.reliable = last, reliable
        encoder.check_size((content.shape[-2], content.shape[-1]), self.layers)
        with torch.no_grad():
            paintings = [p for r in regions for p, _ in r.paintings] if self.style_layers else []
            for painting in paintings:
                encoder.check_size((painting.shape[-2], painting.shape[-1]), self.style_layers)
            self.scales = self._mean_one([content, *paintings]) if weights.normalize else {}
            self.targets = self.features(content, self.content_layers)
            self.guides = self._guides(content, regions)
            self.grams = [self._target_grams(r) for r in regions] if self.style_layers else []
            self.names = [r.name for r in regions]

    def _mean_one(self, pictures: Sequence[Tensor]) -> dict[str, Tensor]:
        sums: dict[str, Tensor] = {}
        for picture in pictures:
            for layer, f in self.encoder(picture, self.layers).items():
                sums[layer] = sums.get(layer, torch.zeros(())) + f.mean((2, 3), keepdim=True) / len(pictures)
        # a channel that is hardly active on these pictures must not be amplified a thousandfold
        return {layer: 1 / mean.clamp_min(0.05 * float(mean.mean())) for layer, mean in sums.items()}

    def features(self, rgb: Tensor, layers: Mapping[str, float] | set[str]) -> dict[str, Tensor]:
        """{layer: [1,C,h,w]}, normalized where that is asked for."""
        found = self.encoder(rgb, layers)
        return {n: f * self.scales[n] for n, f in found.items()} if self.scales else found

    def _guides(self, content: Tensor, regions: Sequence[StyleRegion]) -> list[dict[str, Tensor | None]]:
        self.shares: list[float] = []
        guides: list[dict[str, Tensor | None]] = []
        total = sum(float(r.mask.mean()) if r.mask is not None else 1.0 for r in regions)
        height, width = content.shape[-2:]
        for region in regions:
            self.shares.append((float(region.mask.mean()) if region.mask is not None else 1.0) / max(total, 1e-9))
            guides.append({})
            for layer in self.style_layers:
                guide = None
                if region.mask is not None:
                    shrink = int(layer[4]) - 1
                    size = (height >> shrink, width >> shrink)
                    guide = F.interpolate(region.mask, size, mode="area") if shrink else region.mask
                    guide = guide / guide.sum().clamp_min(1e-9)
                guides[-1][layer] = guide
        return guides

    def _target_grams(self, region: StyleRegion) -> dict[str, Tensor]:
        grams: dict[str, Tensor] = {}
        for painting, weight in region.paintings:
            for layer, f in self.features(painting, self.style_layers).items():
                grams[layer] = grams.get(layer, torch.zeros(())) + weight * gram(f)
        return grams

    def __call__(self, rgb: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Picture [1,3,H,W] -> the total, and all terms by name, unweighted (``content``, ``style relu1_1`` …)."""
        features = self.features(rgb, self.layers)
        weights = self.weights
        terms: dict[str, Tensor] = {"content": rgb.new_zeros(()), "style": rgb.new_zeros(())}
        for layer, weight in self.content_layers.items():
            loss = content_loss(features[layer], self.targets[layer])
            terms["content"] = terms["content"] + weight * loss
            terms[f"content {layer}"] = loss
        for share, guides, targets, name in zip(self.shares, self.guides, self.grams, self.names, strict=False):
            for layer, weight in self.style_layers.items():
                difference = _guided_gram(features[layer], guides[layer]) - targets[layer]
                loss = difference.square().mean() / targets[layer].square().mean().clamp_min(1e-8)
                terms["style"] = terms["style"] + share * weight * loss
                terms[f"style {layer}{'@' if name else ''}{name}"] = loss
        terms["tv"] = total_variation(rgb)
        total = (
            weights.content_weight * terms["content"]
            + weights.style_weight * terms["style"]
            + weights.tv_weight * terms["tv"]
        )
        if self.last is not None and self.reliable is not None:
            terms["temporal"] = temporal_loss(rgb, self.last, self.reliable)
            total = total + weights.temporal_weight * terms["temporal"]
        return total, terms
