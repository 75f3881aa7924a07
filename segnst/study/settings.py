"""Settings of the commands compare, inspect and reconstruct. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from segnst.config import FILES, LOOK, RUNNING, WHAT, WHERE, Settings
from segnst.errors import UsageError, did_you_mean
from segnst.jobs.optimize_settings import OptimizeOptions
from segnst.perceptual.loss_weights import LOSSES, LossWeights
from segnst.setting import check, restated, setting
from segnst.style.optimization_settings import OPTIMIZING, OptimizeSettings

MEASURING = "Measuring"


@dataclass(frozen=True)
class CompareOptions:
    """Which methods are compared after which painting, and how they are measured.

    painting  is painted after by the optimizers, and compared with by the style losses
    features  the encoder whose losses are optimized and measured
    clip      a video on which the temporal error is measured as well

    Raises UsageError for a value that its field does not allow.
    """

    painting: Path
    methods: tuple[str, ...] = setting(
        ("lbfgs", "adam"),
        "Separated by commas: lbfgs, adam, names of styles, paths of checkpoints.",
        metavar="NAME|FILE,…",
        group=WHAT,
    )
    steps: int = setting(200, "Steps of an optimization.", metavar="N", group=OPTIMIZING, min=1)
    max_size: int = setting(512, "Long side of the pictures.", metavar="PX", group=OPTIMIZING, min=32, unit="px")
    features: str = restated(OptimizeOptions, "features", "vgg19")
    clip: Path | None = setting(
        None, "Measure the temporal error on this video as well.", metavar="FILE", group=MEASURING
    )
    clip_frames: int = setting(
        6, "Number of frames of --clip to measure, from the first on.", metavar="N", group=MEASURING, min=2
    )
    clip_steps: int = setting(
        40, "Optimization steps of its first frame; later frames take a quarter.", metavar="N", group=MEASURING, min=1
    )
    clip_size: int = setting(256, "Long side of its frames.", metavar="PX", group=MEASURING, min=32, unit="px")
    raft: Path | None = setting(
        None, "Weights of RAFT small to measure with; fetched by default.", metavar="FILE", group=MEASURING
    )
    device: str = restated(Settings, "device", "auto")
    offline: bool = restated(Settings, "offline", False)
    show_painting: bool = setting(
        True,
        "Show the painting next to the pictures on the sheet.",
        group=LOOK,
        options=("--show-painting/--hide-painting",),
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class InspectSettings:
    """What is drawn.

    layers    of the perceptual network ``features``, by default those of style
    channels  how many channels of each layer are drawn
    region    the class whose saliency is drawn, by default the largest one that is no scenery
    samples   noisy copies for SmoothGrad

    Raises UsageError for a value that its field does not allow.
    """

    layers: tuple[str, ...] = setting(
        (), "Layers to show, separated by commas. Default: relu1_1 to relu5_1.", metavar="LAYER,…", group=WHAT
    )
    channels: int = setting(6, "Number of channels to show of each layer.", metavar="N", group=WHAT, min=1, max=16)
    features: str = restated(OptimizeOptions, "features", "vgg19", group=WHAT)
    segmenter: str = restated(
        Settings,
        "segmenter",
        "deeplab",
        help="The segmenter whose saliency is drawn: a name, or the path of a trained one.",
    )
    region: str | None = setting(
        None,
        "Class whose saliency is drawn. Default: the largest object.",
        metavar="NAME",
        group=WHERE,
        options=("--class",),
    )
    samples: int = setting(12, "Noisy copies for SmoothGrad.", metavar="N", group=RUNNING, min=1, max=200)
    max_size: int = setting(
        384, "Reduce the long side to this; with --edges, 640 by default.", metavar="PX", group=FILES, min=16, unit="px"
    )
    device: str = restated(Settings, "device", "auto")
    offline: bool = restated(Settings, "offline", False)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class EdgesSettings(Settings):
    """``Settings`` at a size at which the sheet of all edges is drawn quickly."""

    max_size: int | None = restated(Settings, "max_size", 640)


@dataclass(frozen=True)
class ReconstructOptimizing(OptimizeSettings):
    """``OptimizeSettings`` that start from noise and work at one size."""

    steps: int = restated(OptimizeSettings, "steps", 200)
    init: Literal["content", "style", "noise"] = restated(OptimizeSettings, "init", "noise")
    scales: int = restated(OptimizeSettings, "scales", 1)


@dataclass(frozen=True)
class ReconstructSettings:
    """What is reconstructed, and how.

    what          "content": the features at ``layer``; "style": the Gram matrices of all style layers up to ``layer``
    optimization  how the picture is optimized; its losses are replaced by those that ``what`` needs

    Raises UsageError for a value that its field does not allow.
    """

    what: str = "content"
    layer: str = setting(
        "relu4_2", "The layer that is matched; for style, all style layers up to it.", metavar="LAYER", group=WHAT
    )
    optimization: OptimizeSettings = field(default_factory=ReconstructOptimizing)
    tv_weight: float = restated(
        LossWeights, "tv_weight", 20.0, help="Weight of total variation; the loss of the layer weighs 1000."
    )
    features: str = restated(OptimizeOptions, "features", "vgg19", group=LOSSES)
    max_size: int = restated(OptimizeOptions, "max_size", 384)
    device: str = restated(Settings, "device", "auto")
    offline: bool = restated(Settings, "offline", False)

    def __post_init__(self) -> None:
        check(self)
        if self.what not in ("content", "style"):
            near = did_you_mean(self.what, ("content", "style"))
            raise UsageError(f"Reconstruct content or style, not '{self.what}'.{near}")
