"""What each training may be told. Nothing here imports torch: the command line builds its options from these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segnst.errors import UsageError
from segnst.setting import check, restated, setting

LOSSES, TRAINING = "Losses", "Training"


@dataclass(frozen=True)
class StyleSettings:
    """Everything that decides the result of training one style; written into the checkpoint and the card.

    Losses are relative to the energy of their targets (segnst.perceptual.losses), so weights are near one another for
    every painting. Content and style alone are ``content + style_weight * style`` of ``segnst bench front``.

    architecture  the network of a collection: painter (segnst.style.painter) or transformer
    down          side of the kernels that halve the picture, in a transformer
    style_layers, deep_layers  where Gram matrices are compared; the latter on a second encoder, for large strokes
    cheap         iterations at the beginning that the second encoder judges alone. It costs a sixteenth, and a network
                  finds colors and strokes with it, but learns to fool it if it goes on.
    structure_weight  compares features after instance normalization: it holds shapes, a face, a number plate, while
                  colors and contrast are the painting's to choose; content holds both
    lattice_weight    against the grid of the upsampling (segnst.train.style_loss.lattice)
    spot_weight       against bubbles on smooth surfaces (segnst.perceptual.spots); ``plain_share`` of the crops show
                  nothing else
    warmup        iterations of a network that starts from nothing which learn to repeat the photo, weighed by
                  ``repeat_weight``: a few seconds that spare it the search for the picture through the style loss
    temporal_from  share of the training after which the temporal term joins; earlier it erases the strokes before they
                  are there
    identity_steps  of the identity of a collection, by itself, at the end
    free_share    share of pictures that are painted after any picture, by rows that an encoder predicts
                  (segnst.train.free_styles)
    minutes       if not 0, how long the training takes, instead of ``iterations``; the learning rate is planned for it
    Raises UsageError for a value that its field does not allow.
    """

    architecture: Literal["painter", "transformer"] = setting(
        "painter", "The network: painter, or transformer as in Johnson 2016.", group=TRAINING
    )
    width: int = setting(32, "Channels of the first layer.", metavar="N", group=TRAINING, min=4)
    down: int = 5
    iterations: int = setting(400, "Steps.", metavar="N", group=TRAINING, min=1)
    batch: int = setting(3, "Crops a step.", metavar="N", group=TRAINING, min=1)
    crop: int = setting(192, "Side of a crop.", metavar="PX", group=TRAINING, min=32, unit="px")
    style_size: int = setting(
        448,
        "Width to which the painting is scaled: larger gives larger strokes.",
        metavar="PX",
        group=TRAINING,
        min=32,
        unit="px",
    )
    learning_rate: float = setting(2e-3, "Learning rate of Adam.", metavar="X", group=TRAINING, min=0)
    style_rate: float = setting(
        1.0, "Learning rate of scales and shifts, times --learning-rate.", metavar="X", group=TRAINING, min=0
    )
    content_layer: str = setting("relu3_3", "Layer that --content-weight compares.", metavar="LAYER", group=LOSSES)
    structure_layer: str = "relu3_4"
    style_layers: tuple[str, ...] = setting(
        ("relu1_1", "relu2_1", "relu3_1", "relu3_4"),
        "Layers whose Gram matrices are matched, separated by commas.",
        metavar="LAYER,…",
        group=LOSSES,
    )
    deep_layers: tuple[str, ...] = setting(
        ("relu4_1",), "The same for --deep-features.", metavar="LAYER,…", group=LOSSES
    )
    content_weight: float = setting(1.0, "How much of colors and contrast is kept.", metavar="X", group=LOSSES, min=0)
    structure_weight: float = setting(0.0, "How much of shapes is kept.", metavar="X", group=LOSSES, min=0)
    style_weight: float = setting(20.0, "How much of the painting's strokes.", metavar="X", group=LOSSES, min=0)
    cheap: int = setting(0, "First steps that --deep-features judges alone.", metavar="N", group=TRAINING, min=0)
    tv_weight: float = setting(0.0, "Total variation: more is smoother.", metavar="X", group=LOSSES, min=0)
    range_weight: float = 20.0
    lattice_weight: float = setting(
        300.0, "Against the fine grid that upsampling leaves.", metavar="X", group=LOSSES, min=0
    )
    spot_weight: float = setting(3000.0, "Against bubbles on smooth surfaces.", metavar="X", group=LOSSES, min=0)
    plain_share: float = setting(
        0.06, "Share of crops that are plain surfaces.", metavar="X", group=TRAINING, min=0, max=1
    )
    repeat_weight: float = 100.0
    identity_steps: int = setting(
        0, "Last steps, quick ones, that teach the identity alone.", metavar="N", group=TRAINING, min=0
    )
    teacher_weight: float = setting(
        300.0, "How well the teacher's paint is repeated.", metavar="X", group=LOSSES, min=0
    )
    warmup: int = setting(
        40, "First steps that repeat the photo, or what the teacher paints.", metavar="N", group=TRAINING, min=0
    )
    temporal_weight: float = setting(3.0, "Steadiness under motion.", metavar="X", group=LOSSES, min=0)
    temporal_from: float = setting(
        0.6, "Share of the training after which --temporal-weight joins.", metavar="X", group=LOSSES, min=0, max=1
    )
    free_share: float = setting(
        0.0, "Share of pictures painted after those of --free.", metavar="X", group=TRAINING, min=0, max=1
    )
    minutes: float = setting(0.0, "Train this long instead of --iterations.", metavar="N", group=TRAINING, min=0)
    seed: int = setting(1, "Seed of crops and of the first weights.", metavar="N", group=TRAINING)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class AddedStyleSettings(StyleSettings):
    """The same for a style that joins a collection: a trunk that stays as it is lets scales and shifts learn ten times
    as fast."""

    style_rate: float = restated(StyleSettings, "style_rate", 10.0)


@dataclass(frozen=True)
class CollectionSettings(StyleSettings):
    """The same for a collection: one trunk for many styles, and an identity that learns at the end. ``free_share`` is
    for a training that has folders of pictures to paint after; without them it is 0."""

    iterations: int = restated(StyleSettings, "iterations", 4000)
    batch: int = restated(StyleSettings, "batch", 2)
    crop: int = restated(StyleSettings, "crop", 256)
    learning_rate: float = restated(StyleSettings, "learning_rate", 1e-3)
    style_rate: float = restated(StyleSettings, "style_rate", 3.0)
    identity_steps: int = restated(StyleSettings, "identity_steps", 200)
    temporal_from: float = restated(StyleSettings, "temporal_from", 0.65)
    free_share: float = restated(StyleSettings, "free_share", 0.5)


@dataclass(frozen=True)
class SegmenterSettings:
    """How to train a segmenter. Learning rates: ``lr`` for the backbone, 3x for the old head, 10x for what is new.

    ``offsets`` are added to the logits of the checkpoint: a class that weighs more is learned better but also
    seen where it is not, and its boundary lies too far out. Default: minus the logarithm of its weight.
    Raises UsageError for a value that its field does not allow.
    """

    iterations: int = setting(2000, "Steps.", metavar="N", group=TRAINING, min=1)
    batch: int = setting(8, "Crops a step.", metavar="N", group=TRAINING, min=1)
    crop: int = setting(321, "Side of a crop, of the form 16k+1.", metavar="PX", group=TRAINING, min=17, unit="px")
    lr: float = setting(
        1e-4, "Learning rate of the backbone.", metavar="X", group=TRAINING, min=0, options=("--learning-rate",)
    )
    seed: int = setting(0, "Seed of crops and of the first weights.", metavar="N", group=TRAINING)
    frozen: int = 3
    class_weights: tuple[float, ...] = setting(
        (), "A number for each class, separated by commas.", metavar="X,X…", group=TRAINING, min=0
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
    """How to train Mask R-CNN: SGD, ``lr`` warmed up over 50 steps, then down a cosine. Batch norms stay as they are.

    Raises UsageError for a value that its field does not allow.
    """

    iterations: int = setting(500, "Steps.", metavar="N", group=TRAINING, min=1)
    batch: int = setting(2, "Photos a step.", metavar="N", group=TRAINING, min=1)
    lr: float = setting(
        0.005, "Learning rate of SGD.", metavar="X", group=TRAINING, min=0, options=("--learning-rate",)
    )
    seed: int = setting(0, "Seed of photos and of the first weights.", metavar="N", group=TRAINING)
    hold_back: int = 6
    validate_every: int = 100
    validate_at_most: int = 40
    save_every: int = 50

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class FeatureSettings:
    """Everything that decides the result of distilling a perceptual network.

    ranks       channels between the two convolutions of each layer
    photos      crops a layer is fitted on;  positions  of each crop
    ridge       added to the diagonal of the covariance, as a share of its mean
    Raises UsageError for a value that its field does not allow.
    """

    ranks: tuple[tuple[str, int], ...] = (
        ("relu1_1", 20), ("relu1_2", 48),
        ("relu2_1", 96), ("relu2_2", 112),
        ("relu3_1", 144), ("relu3_2", 144), ("relu3_3", 144), ("relu3_4", 128),
        ("relu4_1", 64), ("relu4_2", 56), ("relu4_3", 56), ("relu4_4", 56), ("relu5_1", 56),
    )  # fmt: skip
    photos: int = setting(150, "Crops that every layer is fitted on.", metavar="N", group=TRAINING, min=4)
    positions: int = 500
    crop: int = setting(160, "Side of a crop.", metavar="PX", group=TRAINING, min=32, unit="px")
    ridge: float = 1e-4
    seed: int = setting(1, "Seed of the crops.", metavar="N", group=TRAINING)

    def __post_init__(self) -> None:
        check(self)
