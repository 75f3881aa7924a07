"""The layers and weights of the losses of an optimized picture (segnst.perceptual.objective).

Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from segnst.errors import UsageError
from segnst.setting import check, setting

LayerWeights = tuple[tuple[str, float], ...]
LOSSES = "Losses"


def parse_layers(text: str) -> LayerWeights:
    """Return the layers and weights that a text such as ``relu3_1:0.5,relu4_1`` lists. Raises UsageError.

    A layer without a number has the weight 1.
    """
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
    """Layers and weights of the loss terms. Only the ratios of the four weights matter.

    content_layers, style_layers  ((name, weight), …); if empty, the first of ``CONTENT_LAYERS`` or all of
               ``STYLE_LAYERS`` (segnst.perceptual.objective) that the encoder has
    normalize  first divide each channel by its mean activation (Gatys 2016, section 2); the mean is over the content
               and the paintings instead of ImageNet

    Raises UsageError for a value that its field does not allow.
    """

    content_layers: LayerWeights = setting(
        (),
        "Layers that the content loss compares. Default: relu4_2, or the deepest before it that the encoder has.",
        metavar="LAYER[:WEIGHT],…",
        group=LOSSES,
        parse=parse_layers,
    )
    style_layers: LayerWeights = setting(
        (),
        "Layers that the style loss compares. Default: those of relu1_1 to relu5_1 that the encoder has.",
        metavar="LAYER[:WEIGHT],…",
        group=LOSSES,
        parse=parse_layers,
    )
    content_weight: float = setting(
        1e3, "Weight of the content; only its ratio to the other weights matters.", metavar="X", group=LOSSES, min=0
    )
    style_weight: float = setting(1e4, "Weight of the style.", metavar="X", group=LOSSES, min=0)
    tv_weight: float = setting(100.0, "Weight of total variation; more is smoother.", metavar="X", group=LOSSES, min=0)
    temporal_weight: float = setting(2e4, "Weight of steadiness in a video.", metavar="X", group=LOSSES, min=0)
    normalize: bool = setting(False, "Divide each channel by its mean activation (Gatys 2016).", group=LOSSES)

    def __post_init__(self) -> None:
        check(self)
