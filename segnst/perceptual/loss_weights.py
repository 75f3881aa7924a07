"""Which layers and terms a picture is optimized for (segnst.perceptual.objective). Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass

from segnst.errors import UsageError
from segnst.setting import check, setting

LayerWeights = tuple[tuple[str, float], ...]
LOSSES = "Losses"


def parse_layers(text: str) -> LayerWeights:
    """``relu3_1:0.5,relu4_1`` -> layers and weights (1 where none is given). Raises UsageError."""
    layers: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, colon, weight = part.partition(":")
        try:
            value = float(weight) if colon else 1.0
        except ValueError:
            raise UsageError(f"The weight of the layer in '{part}' must be a number.") from None
        if not 0 < value < float("inf"):
            raise UsageError(f"The weight of the layer in '{part}' must be above 0.")
        if name in layers:
            raise UsageError(f"The layer {name} is given twice in '{text}'.")
        layers[name] = value
    return tuple(layers.items())


@dataclass(frozen=True)
class LossWeights:
    """Layers and weights of the terms; only the ratios of the four weights decide the picture.

    content_layers, style_layers  ((name, weight), …); empty: the first of ``CONTENT_LAYERS``, all of ``STYLE_LAYERS``
               (segnst.perceptual.objective), as far as the encoder has them
    normalize  divide each channel by its mean activation first (Gatys 2016, section 2), here over the positions of the
               content and the paintings instead of ImageNet's
    Raises UsageError for a value that its field does not allow.
    """

    content_layers: LayerWeights = setting(
        (),
        "Layers that hold the content. Default: relu4_2, or the deepest that is there before it.",
        metavar="LAYER[:WEIGHT],…",
        group=LOSSES,
        parse=parse_layers,
    )
    style_layers: LayerWeights = setting(
        (),
        "Layers that hold the style. Default: relu1_1 to relu5_1, as far as they are there.",
        metavar="LAYER[:WEIGHT],…",
        group=LOSSES,
        parse=parse_layers,
    )
    content_weight: float = setting(
        1e3, "Weight of the content; only its ratio to the other weights counts.", metavar="X", group=LOSSES, min=0
    )
    style_weight: float = setting(1e4, "Weight of the style.", metavar="X", group=LOSSES, min=0)
    tv_weight: float = setting(100.0, "Weight of total variation: more is smoother.", metavar="X", group=LOSSES, min=0)
    temporal_weight: float = setting(2e4, "Weight of steadiness, in a video.", metavar="X", group=LOSSES, min=0)
    normalize: bool = setting(False, "Divide activations by their means, as the paper does.", group=LOSSES)

    def __post_init__(self) -> None:
        check(self)
