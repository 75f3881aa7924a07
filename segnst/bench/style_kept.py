"""How much of the style a method keeps: its Gram matrices in a perceptual network, compared with per-frame styling's.

For a layer l, with the Gram matrix G(x) (Gatys 2016, eq. 3), per-frame styling p and a method's output o:

    style_l = ⟨G(o), G(p)⟩ / ⟨G(p), G(p)⟩

This is the part of the output's Gram matrix that lies along per-frame styling's. It is 1 for per-frame styling itself,
below 1 where paint was lost (blurring with σ = 0.5 px: 0.86 to 0.96), 0.00 to 0.06 for a gray picture, and above 1
where contrast was added (noise of 0.05: 1.00 to 1.15). It needs no painting. The source is measured in the same way.
Subtracting the source's Gram matrix first was tried and rejected: where a style is softer than the source, blurred and
even gray pictures then score above 1.

Where the painting P is given, the distance to it is measured as well:

    distance_l = ‖G(o) − G(P)‖ / ‖G(p) − G(P)‖

It is 1 where the output is as near to the painting as per-frame styling is, and above 1 where it is farther away.
Numerators and denominators are summed over frames before dividing. Inside a layer of the plan, positions are weighted
by its mask (guided Gram matrices, Gatys 2017, arXiv 1611.07865, eq. 5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from segnst.bench.meters import PER_FRAME, Figures
from segnst.catalog import fetch_named
from segnst.errors import UsageError, WeightsError, did_you_mean
from segnst.perceptual.encoders import Encoder, load_encoder
from segnst.perceptual.losses import gram
from segnst.plan import Plan, short_name
from segnst.weights import sha256

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu3_4")
EVERY, FIRST = 8, 4  # only frames 4, 12, 20, …, because the network takes longer than the styling
LEAST = 64  # positions that a mask must cover at a layer's resolution to be measured there


def load_features(path: Path | None, *, offline: bool) -> tuple[Encoder | None, str, str]:
    """Load the perceptual network from a file, or torchvision's VGG19, which is fetched.

    Returns the network, its SHA-256 and a note; the note is empty, or says why VGG19 (None) could not be fetched.
    Raises WeightsError for a given file that cannot be used.
    """
    try:
        file = path or fetch_named("vgg19", offline=offline)
    except WeightsError as error:
        return None, "", f"style kept was not measured: {error}"
    encoder = load_encoder(file)
    if not any(layer in encoder.layers for layer in LAYERS):
        raise WeightsError(f"{file} has none of the layers {', '.join(LAYERS)}.")
    return encoder, sha256(file), ""


def guided_gram(features: Tensor, mask: Tensor | None) -> Tensor | None:
    """Gram matrix [1,C,C] of features [1,C,h,w] inside a soft mask [1,1,H,W] (None: everywhere).

    None where the mask covers fewer than ``LEAST`` positions.
    """
    if mask is None:
        return gram(features)
    weight = F.interpolate(mask, features.shape[-2:], mode="area")
    total = float(weight.sum())
    if total < LEAST:
        return None
    flat, by_weight = features.flatten(2), (features * weight).flatten(2)
    return by_weight @ flat.transpose(1, 2) / total


class StyleMeter:
    """Accumulates the style figures of all methods at some frames of a clip.

    paintings  {layer of the plan, or "" for the whole frame: RGB [1,3,H,W] in [0,1]}
    """

    def __init__(self, encoder: Encoder, paintings: Mapping[str, Tensor]) -> None:
        self.encoder = encoder
        self.layers = tuple(layer for layer in LAYERS if layer in encoder.layers)
        device = next(encoder.parameters()).device
        self._targets = {
            (where, layer): gram(f)
            for where, painting in paintings.items()
            for layer, f in encoder(painting.to(device), self.layers).items()
        }
        self._sums: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))

    @staticmethod
    def wants(number: int) -> bool:
        """Whether frame ``number`` is one of those that are measured."""
        return number % EVERY == FIRST

    def add(self, outputs: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
        """Measure one frame.

        outputs  {method: [1,3,H,W] in [0,1]}, per-frame styling among them
        masks    {layer of the plan: soft mask [1,1,H,W]}
        """
        grams: dict[tuple[str, str, str], Tensor | None] = {}
        for name, rgb in outputs.items():
            for layer, features in self.encoder(rgb, self.layers).items():
                for where, mask in {"": None, **masks}.items():
                    grams[name, where, layer] = guided_gram(features, mask)
        for (name, where, layer), mine in grams.items():
            single = grams[PER_FRAME, where, layer]
            if mine is None or single is None:
                continue
            key = f"{layer}@{where}" if where else layer
            self._add(name, f"style[{key}]", (mine * single).sum(), single.square().sum())
            if (where, layer) in self._targets:
                target = self._targets[where, layer]
                self._add(name, f"style_distance[{key}]", (mine - target).norm(), (single - target).norm())

    def _add(self, name: str, key: str, above: Tensor, below: Tensor) -> None:
        sums = self._sums[name][key]
        sums[0] += float(above)
        sums[1] += float(below)

    def figures(self, name: str) -> Figures:
        """``style[LAYER]`` and ``style_distance[LAYER]`` of a method; ``[LAYER@REGION]`` inside a layer of the plan."""
        return {key: above / below if below > 0 else None for key, (above, below) in self._sums[name].items()}


def paintings_by_layer(paintings: Mapping[str, Tensor], plan: Plan) -> dict[str, Tensor]:
    """Map paintings from the short name of their style to the layer of the plan ("" for the whole frame).

    Layers that mix styles get none. Raises UsageError for a painting of a style that the plan does not name.
    """
    styles = {short_name(style) for style in plan.styles}
    for name in paintings:
        if name not in styles:
            raise UsageError(
                f"--painting names the style '{name}', the plan has {', '.join(sorted(styles)) or 'none'}."
                f"{did_you_mean(name, styles)}"
            )
    layers = {
        "" if plan.whole_frame else entry.name: short_name(entry.styles[0].style)
        for entry in plan.entries
        if len(entry.styles) == 1 and not entry.original
    }
    return {layer: paintings[style] for layer, style in layers.items() if style in paintings}
