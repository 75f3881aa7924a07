"""The layers and weights of the loss that style networks are trained for (segnst.perceptual.style_loss).

Nothing here imports torch, because ``--help`` builds options from these fields.
"""

from __future__ import annotations

from dataclasses import dataclass

from segnst.perceptual.loss_weights import LOSSES
from segnst.setting import setting


@dataclass(frozen=True)
class StyleTerms:
    """What the loss compares, and with which weights.

    Losses are divided by the energy of their targets (segnst.perceptual.losses), so that the same weights suit every
    painting. ``segnst bench front`` measures the content and style terms as ``content + style_weight * style``.

    style_layers, deep_layers  layers whose Gram matrices are compared: on the first encoder, and on a second one, which
                  is for large strokes
    structure_weight  weight of the difference between features after instance normalization. It preserves shapes, such
                  as those of a face or a number plate, and leaves colors and contrast to the painting; the content
                  term preserves all of them.
    lattice_weight  weight of the penalty on the grid that upsampling leaves (segnst.perceptual.style_loss.lattice)
    spot_weight   weight of the penalty on bubbles on smooth surfaces (segnst.perceptual.spots)
    """

    content_layer: str = setting(
        "relu3_3", "Layer whose features the content loss compares.", metavar="LAYER", group=LOSSES
    )
    structure_layer: str = "relu3_4"
    style_layers: tuple[str, ...] = setting(
        ("relu1_1", "relu2_1", "relu3_1", "relu3_4"),
        "Layers whose Gram matrices the style loss compares, separated by commas.",
        metavar="LAYER,…",
        group=LOSSES,
    )
    deep_layers: tuple[str, ...] = setting(
        ("relu4_1",), "The same on the encoder of --deep-features.", metavar="LAYER,…", group=LOSSES
    )
    content_weight: float = setting(
        1.0, "Weight of the content, which keeps shapes, colors and contrast.", metavar="X", group=LOSSES, min=0
    )
    structure_weight: float = setting(
        0.0, "Weight of the structure, which keeps shapes only.", metavar="X", group=LOSSES, min=0
    )
    style_weight: float = setting(20.0, "Weight of the style.", metavar="X", group=LOSSES, min=0)
    tv_weight: float = setting(0.0, "Weight of total variation; more is smoother.", metavar="X", group=LOSSES, min=0)
    range_weight: float = 20.0
    lattice_weight: float = setting(
        300.0, "Weight of the penalty on the grid that upsampling leaves.", metavar="X", group=LOSSES, min=0
    )
    spot_weight: float = setting(
        3000.0, "Weight of the penalty on bubbles on smooth surfaces.", metavar="X", group=LOSSES, min=0
    )
