"""The settings of every training. Nothing here imports torch, because ``--help`` builds its options from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segnst.errors import UsageError
from segnst.perceptual.loss_weights import LOSSES
from segnst.perceptual.style_terms import StyleTerms
from segnst.setting import check, restated, setting

TRAINING = "Training"


@dataclass(frozen=True)
class StyleSettings(StyleTerms):
    """Everything that decides the result of training one style; written into the checkpoint and the card.

    architecture  network of a collection: painter (segnst.style.painter) or transformer
    down          side of the downsampling kernels of a transformer
    style_size    width in px to which the painting is scaled
    cheap         number of first iterations whose losses use the second encoder only. They cost a sixteenth and suffice
                  to find colors and strokes, but if there are too many, the network learns to fool that encoder.
    plain_share   share of the crops that are smooth surfaces
    warmup        number of first iterations in which a network with random weights learns to reproduce the photo, with
                  ``repeat_weight``. This takes seconds; otherwise the network has to learn it through the style loss.
    temporal_from  share of the training after which the temporal term is added; if it is added earlier, it erases the
                  strokes before they have formed
    identity_steps  number of steps at the end that train only the identity style of a collection
    free_share    share of pictures whose style is any picture, from rows that an encoder predicts
                  (segnst.train.free_styles)
    minutes       if not 0, duration of the training, instead of ``iterations``; the learning rate is planned for it

    Raises UsageError for a value that its field does not allow.
    """

    architecture: Literal["painter", "transformer"] = setting(
        "painter", "Architecture of the network: painter, or transformer (Johnson 2016).", group=TRAINING
    )
    width: int = setting(32, "Channels of the first layer.", metavar="N", group=TRAINING, min=4)
    down: int = 5
    iterations: int = setting(400, "Number of training steps.", metavar="N", group=TRAINING, min=1)
    batch: int = setting(3, "Crops in each step.", metavar="N", group=TRAINING, min=1)
    crop: int = setting(192, "Side of the square crops.", metavar="PX", group=TRAINING, min=32, unit="px")
    style_size: int = setting(
        448,
        "Width to which the painting is scaled: larger gives larger strokes.",
        metavar="PX",
        group=TRAINING,
        min=32,
        unit="px",
    )
    learning_rate: float = setting(2e-3, "Learning rate of the convolutions.", metavar="X", group=TRAINING, min=0)
    style_rate: float = setting(
        1.0, "Factor on the learning rate for scales and shifts.", metavar="X", group=TRAINING, min=0
    )
    cheap: int = setting(
        0, "First steps whose losses use --deep-features only, which is faster.", metavar="N", group=TRAINING, min=0
    )
    plain_share: float = setting(
        0.06, "Share of the crops that are smooth surfaces.", metavar="X", group=TRAINING, min=0, max=1
    )
    repeat_weight: float = 100.0
    identity_steps: int = setting(
        0, "Quick steps at the end that train only the identity style.", metavar="N", group=TRAINING, min=0
    )
    teacher_weight: float = setting(
        300.0, "Weight of the difference from what --teacher paints.", metavar="X", group=LOSSES, min=0
    )
    warmup: int = setting(
        40,
        "First steps, which learn to reproduce the photo, or what --teacher paints.",
        metavar="N",
        group=TRAINING,
        min=0,
    )
    temporal_weight: float = setting(3.0, "Weight of steadiness under motion.", metavar="X", group=LOSSES, min=0)
    temporal_from: float = setting(
        0.6, "Share of the training after which the temporal loss is added.", metavar="X", group=LOSSES, min=0, max=1
    )
    free_share: float = setting(
        0.0, "Share of pictures whose style is a picture of --free.", metavar="X", group=TRAINING, min=0, max=1
    )
    minutes: float = setting(
        0.0, "Train for so many minutes instead of --iterations.", metavar="N", group=TRAINING, min=0
    )
    seed: int = setting(1, "Seed of the crops and the initial weights.", metavar="N", group=TRAINING)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class AddedStyleSettings(StyleSettings):
    """The settings of training a style that is added to a collection.

    The trunk is frozen, so that scales and shifts can learn at ten times the rate.
    """

    style_rate: float = restated(StyleSettings, "style_rate", 10.0)


@dataclass(frozen=True)
class CollectionSettings(StyleSettings):
    """The settings of training a collection: one trunk for many styles, and an identity style that is trained last.

    ``free_share`` counts as 0 unless the training has folders of pictures for it.
    """

    iterations: int = restated(StyleSettings, "iterations", 4000)
    batch: int = restated(StyleSettings, "batch", 2)
    crop: int = restated(StyleSettings, "crop", 256)
    learning_rate: float = restated(StyleSettings, "learning_rate", 1.5e-3)
    style_rate: float = restated(StyleSettings, "style_rate", 0.7)
    identity_steps: int = restated(StyleSettings, "identity_steps", 200)
    temporal_from: float = restated(StyleSettings, "temporal_from", 0.65)
    free_share: float = restated(StyleSettings, "free_share", 0.5)


@dataclass(frozen=True)
class SegmenterSettings:
    """How to train a segmenter.

    lr       learning rate of the backbone; that of the existing head is 3 times as high, that of new layers 10 times
    offsets  numbers that are added to the classes' logits in the checkpoint. A class with a larger weight is learned
             better, but it is also found where it is absent, and its boundary lies too far out. Default: minus the
             logarithm of the class's weight.

    Raises UsageError for a value that its field does not allow.
    """

    iterations: int = setting(2000, "Number of training steps.", metavar="N", group=TRAINING, min=1)
    batch: int = setting(8, "Crops in each step.", metavar="N", group=TRAINING, min=1)
    crop: int = setting(
        321, "Side of the square crops, of the form 16k+1.", metavar="PX", group=TRAINING, min=17, unit="px"
    )
    lr: float = setting(
        1e-4, "Learning rate of the backbone.", metavar="X", group=TRAINING, min=0, options=("--learning-rate",)
    )
    seed: int = setting(0, "Seed of the crops and the initial weights.", metavar="N", group=TRAINING)
    frozen: int = 3
    class_weights: tuple[float, ...] = setting(
        (),
        "Weight of each class in the loss, separated by commas. Default: all equal.",
        metavar="X,X…",
        group=TRAINING,
        min=0,
    )
    offsets: tuple[float, ...] = ()
    teacher: float = 1.0
    pseudo: float = 0.35
    partial: float = 1.0
    average: float = 0.998
    hold_back: int = 8
    validate_every: int = 300
    save_every: int = 100
    validate_at_most: int = 24
    long_side: int = 513
    scale: tuple[float, float] = (0.6, 1.5)

    def __post_init__(self) -> None:
        check(self)
        if self.crop % 16 != 1:
            near = self.crop // 16 * 16 + 1
            raise UsageError(f"--crop must be of the form 16k+1, such as {near}, got {self.crop}.")


@dataclass(frozen=True)
class InstanceSettings:
    """How to train Mask R-CNN: by SGD, with batch normalization frozen.

    lr  learning rate, which rises over the first 50 steps and then falls along a cosine

    Raises UsageError for a value that its field does not allow.
    """

    iterations: int = setting(500, "Number of training steps.", metavar="N", group=TRAINING, min=1)
    batch: int = setting(2, "Photos in each step.", metavar="N", group=TRAINING, min=1)
    lr: float = setting(
        0.005, "Learning rate of SGD.", metavar="X", group=TRAINING, min=0, options=("--learning-rate",)
    )
    seed: int = setting(0, "Seed of the order of photos and the initial weights.", metavar="N", group=TRAINING)
    hold_back: int = 6
    validate_every: int = 100
    validate_at_most: int = 40
    save_every: int = 50

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class FeatureSettings:
    """Everything that decides the result of distilling a perceptual network.

    ranks      number of channels between the two convolutions of each layer
    photos     number of crops that each layer is fitted on
    positions  number of positions that are taken from each crop
    ridge      is added to the diagonal of the covariance, as a share of the diagonal's mean

    Raises UsageError for a value that its field does not allow.
    """

    ranks: tuple[tuple[str, int], ...] = (
        ("relu1_1", 20), ("relu1_2", 48),
        ("relu2_1", 96), ("relu2_2", 112),
        ("relu3_1", 144), ("relu3_2", 144), ("relu3_3", 144), ("relu3_4", 128),
        ("relu4_1", 64), ("relu4_2", 56), ("relu4_3", 56), ("relu4_4", 56), ("relu5_1", 56),
    )  # fmt: skip
    photos: int = setting(150, "Number of crops that each layer is fitted on.", metavar="N", group=TRAINING, min=4)
    positions: int = 500
    crop: int = setting(160, "Side of the square crops.", metavar="PX", group=TRAINING, min=32, unit="px")
    ridge: float = 1e-4
    seed: int = setting(1, "Seed of the crops.", metavar="N", group=TRAINING)

    def __post_init__(self) -> None:
        check(self)
