"""The settings of optimizing a picture (segnst.style.optimization). Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from segnst.errors import UsageError
from segnst.perceptual.loss_weights import LossWeights
from segnst.setting import check, setting

OPTIMIZING = "Optimizing"


@dataclass(frozen=True)
class OptimizeSettings:
    """How a picture is optimized, and for which losses (segnst.perceptual.objective).

    steps        number of evaluations of loss and gradient, over all scales
    frame_steps  the same for each frame of a video that starts from the warped previous frame, that is, for all but the
                 first of a shot; None: a quarter of ``steps``
    init         what the first picture starts from
    scales       number of sizes, each twice the one before; 0: up to three, as long as the smallest has at least
                 ``SMALLEST_SCALE`` px (segnst.style.optimization)
    learning_rate  learning rate of Adam in units of RGB; it falls to a tenth
    style_scale  size of the painting relative to the picture (long sides); larger gives larger strokes

    Raises UsageError for a value that its field does not allow.
    """

    steps: int = setting(300, "Number of evaluations of loss and gradient.", metavar="N", group=OPTIMIZING, min=1)
    frame_steps: int | None = setting(
        None,
        "Steps for each later frame of a video. Default: a quarter of --steps.",
        metavar="N",
        group=OPTIMIZING,
        min=1,
    )
    optimizer: Literal["lbfgs", "adam"] = setting("lbfgs", "Optimizer of the picture.", group=OPTIMIZING)
    init: Literal["content", "style", "noise"] = setting("content", "Picture to start from.", group=OPTIMIZING)
    pooling: Literal["max", "avg"] = setting("max", "Pooling in the perceptual network.", group=OPTIMIZING)
    scales: int = setting(
        0,
        "Number of sizes to paint at, from coarse to fine; 0: depends on the picture.",
        metavar="N",
        group=OPTIMIZING,
        min=0,
        max=6,
    )
    learning_rate: float = setting(0.02, "Learning rate of Adam.", metavar="X", group=OPTIMIZING, above=0)
    style_scale: float = setting(
        1.0,
        "Size of the painting relative to the picture; larger gives larger strokes.",
        metavar="X",
        group=OPTIMIZING,
        min=0.1,
        max=10,
    )
    history: int = 20
    seed: int = setting(1, "Seed of the noise.", metavar="N", group=OPTIMIZING)
    losses: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        check(self)
        if not (self.losses.content_weight or self.losses.style_weight):
            raise UsageError("--content-weight and --style-weight are both 0, so there is nothing to paint.")
