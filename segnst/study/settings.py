"""What the commands of the study may be told: compare, inspect, reconstruct. Nothing here imports torch."""

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

    features  whose losses are told and optimized;  clip  a video on which the temporal error is measured, too
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
    clip: Path | None = setting(None, "Measure the temporal error on this video, too.", metavar="FILE", group=MEASURING)
    clip_frames: int = setting(6, "Frames of --clip, from its first on.", metavar="N", group=MEASURING, min=2)
    clip_steps: int = setting(
        40, "Steps of its first frame; later ones take a quarter.", metavar="N", group=MEASURING, min=1
    )
    clip_size: int = setting(256, "Long side of its frames.", metavar="PX", group=MEASURING, min=32, unit="px")
    raft: Path | None = setting(
        None, "RAFT small weights to measure by; fetched otherwise.", metavar="FILE", group=MEASURING
    )
    device: str = restated(Settings, "device", "auto")
    offline: bool = restated(Settings, "offline", False)
    show_painting: bool = setting(
        True,
        "Show the painting on the sheet, beside the pictures.",
        group=LOOK,
        options=("--show-painting/--hide-painting",),
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class InspectSettings:
    """What is looked at.

    layers   of the perceptual network ``features``, by default those of style; ``channels`` of each are drawn
    region   the class whose saliency is drawn, by default the largest thing;  samples  noisy copies for SmoothGrad
    Raises UsageError for a value that its field does not allow.
    """

    layers: tuple[str, ...] = setting(
        (), "Layers to show, separated by commas. Default: relu1_1 to relu5_1.", metavar="LAYER,…", group=WHAT
    )
    channels: int = setting(6, "Channels of a layer.", metavar="N", group=WHAT, min=1, max=16)
    features: str = restated(OptimizeOptions, "features", "vgg19", group=WHAT)
    segmenter: str = restated(
        Settings, "segmenter", "deeplab", help="Whose saliency: a name, or the path of a trained one."
    )
    region: str | None = setting(
        None, "Class for the saliency. Default: the largest thing.", metavar="NAME", group=WHERE, options=("--class",)
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
    """``Settings`` at a size at which a strip of all edges is quickly made."""

    max_size: int | None = restated(Settings, "max_size", 640)


@dataclass(frozen=True)
class ReconstructOptimizing(OptimizeSettings):
    """``OptimizeSettings`` that find a picture from noise, at one size."""

    steps: int = restated(OptimizeSettings, "steps", 200)
    init: Literal["content", "style", "noise"] = restated(OptimizeSettings, "init", "noise")
    scales: int = restated(OptimizeSettings, "scales", 1)


@dataclass(frozen=True)
class ReconstructSettings:
    """What is reconstructed, and how.

    what   "content": the features at ``layer``; "style": the Gram matrices of all style layers up to ``layer``
    optimization  how the picture is found; its losses are chosen by ``what``
    Raises UsageError for a value that its field does not allow.
    """

    what: str = "content"
    layer: str = setting("relu4_2", "The layer; of style, all style layers up to it.", metavar="LAYER", group=WHAT)
    optimization: OptimizeSettings = field(default_factory=ReconstructOptimizing)
    tv_weight: float = restated(
        LossWeights, "tv_weight", 20.0, help="Weight of total variation, against 1000 of the loss."
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
