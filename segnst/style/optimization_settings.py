"""How a picture is optimized (segnst.style.optimization). Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from segnst.errors import UsageError
from segnst.perceptual.loss_weights import LossWeights
from segnst.setting import check, setting

OPTIMIZING = "Optimizing"


@dataclass(frozen=True)
class OptimizeSettings:
    """How a picture is optimized, and what for (see segnst.perceptual.objective).

    steps        evaluations of loss and gradient over all scales
    frame_steps  of every frame of a video but a shot's first, which starts from the warped last; None: a quarter
    init         what the first picture starts from
    scales       sizes, each twice the one before; 0: as many as leave the smallest ``SMALLEST_SCALE`` px or more, at
                 most three (segnst.style.optimization)
    learning_rate  of Adam, in units of RGB, falling to a tenth
    style_scale  size of the painting against the picture (long sides): larger, larger strokes
    Raises UsageError for a value that its field does not allow.
    """

    steps: int = setting(300, "Evaluations of loss and gradient.", metavar="N", group=OPTIMIZING, min=1)
    frame_steps: int | None = setting(
        None,
        "Steps of a video's later frames. Default: a quarter of --steps.",
        metavar="N",
        group=OPTIMIZING,
        min=1,
    )
    optimizer: Literal["lbfgs", "adam"] = setting("lbfgs", "How the picture is improved.", group=OPTIMIZING)
    init: Literal["content", "style", "noise"] = setting("content", "What to start from.", group=OPTIMIZING)
    pooling: Literal["max", "avg"] = setting("max", "Pooling in the perceptual network.", group=OPTIMIZING)
    scales: int = setting(
        0,
        "Coarse to fine in this many sizes; 0: by the picture's size.",
        metavar="N",
        group=OPTIMIZING,
        min=0,
        max=6,
    )
    learning_rate: float = setting(0.02, "Learning rate of Adam.", metavar="X", group=OPTIMIZING, above=0)
    style_scale: float = setting(
        1.0,
        "Size of the painting against the picture: a larger one gives larger strokes.",
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
