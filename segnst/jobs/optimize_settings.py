"""The settings of ``segnst optimize``, and the plan that is made from its paintings. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from segnst.config import LOOK, WHAT, Settings
from segnst.errors import UsageError
from segnst.perceptual.loss_weights import LOSSES
from segnst.plan import Entry, Plan, StyleTerm, parse_plan
from segnst.setting import check, restated, setting
from segnst.style.optimization_settings import OPTIMIZING, OptimizeSettings


@dataclass(frozen=True)
class OptimizeOptions:
    """Which regions get the style of which paintings, and how.

    paintings    files of paintings for the whole frame, mixed by ``style_weights`` (equally without them)
    styles       instead of ``paintings``, plan entries with files as styles: ``("car=a.jpg", "background=b.jpg")``
    keep_colors  "luminance": combine the painted luminance with the source's colors; "match": give the paintings the
                 source's colors beforehand; None: use the paintings' colors

    Raises UsageError for a value that its field does not allow.
    """

    paintings: tuple[str, ...] = ()
    styles: tuple[str, ...] = setting(
        (),
        "Which region gets which painting (instead of paintings for the whole frame). Can be repeated.",
        metavar="REGION[,REGION]=PAINTING[*W][+PAINTING…][@STRENGTH]",
        group=WHAT,
        options=("-s", "--style"),
        repeat=True,
    )
    style_weights: tuple[float, ...] = setting(
        (), "Weights of several paintings, separated by commas. Default: equal.", metavar="X,X…", group=WHAT, above=0
    )
    settings: OptimizeSettings = field(default_factory=OptimizeSettings)
    features: str = setting(
        "vgg19",
        "Perceptual network: vgg19, vgg16 (both downloaded), small (bundled), or a file of weights.",
        metavar="NAME|FILE",
        group=LOSSES,
        complete="encoder",
    )
    max_size: int | None = setting(512, "Long side of the result.", metavar="PX", group=OPTIMIZING, min=16, unit="px")
    keep_colors: Literal["luminance", "match"] | None = setting(
        None, "luminance: paint only the luminance; match: give the paintings the content's colors.", group=LOOK
    )
    segmenter: str = restated(Settings, "segmenter", "deeplab")
    flow: str = restated(Settings, "flow", "dis", help="Optical flow of a video: dis or raft.")
    edge: str = restated(Settings, "edge", "guided")
    start: float | None = restated(Settings, "start", None, help="Time in a video at which to start.")
    end: float | None = restated(Settings, "end", None)
    device: str = restated(Settings, "device", "auto")
    offline: bool = restated(Settings, "offline", False)

    def __post_init__(self) -> None:
        check(self)

    def plan(self) -> Plan:
        """Return the plan that says which region gets which painting. Raises UsageError, PlanError."""
        return make_plan(self.paintings, self.styles, self.style_weights)


def whole_frame(paintings: Sequence[str], weights: Sequence[float] = ()) -> Plan:
    """Return a plan of one layer that mixes one or several paintings. Raises UsageError.

    weights  one number above 0 per painting, in the same order; without them, all paintings count equally
    """
    if weights and len(weights) != len(paintings):
        raise UsageError(f"--style-weights has {len(weights)} numbers for {len(paintings)} paintings.")
    if not all(0 < w < float("inf") for w in weights):
        raise UsageError("--style-weights must be numbers above 0.")
    shares = list(weights) or [1.0] * len(paintings)
    total = sum(shares)
    return Plan((Entry((), tuple(StyleTerm(p, w / total) for p, w in zip(paintings, shares, strict=True))),))


def make_plan(paintings: Sequence[str], entries: Sequence[str], weights: Sequence[float] = ()) -> Plan:
    """Return the plan for paintings of the whole frame, or for ``REGION=PAINTING`` entries.

    Raises UsageError, PlanError.
    """
    if bool(paintings) == bool(entries):
        raise UsageError(
            "Give either paintings for the whole frame (segnst optimize photo.jpg painting.jpg) or regions "
            "(-s person=painting.jpg -s background=other.jpg)."
        )
    if entries and weights:
        raise UsageError("--style-weights is for paintings of the whole frame; in -s write REGION=A*2+B.")
    plan = parse_plan(entries) if entries else whole_frame(paintings, weights)
    if not plan.styles:
        raise UsageError("Every region stays original, so there is nothing to paint.")
    return plan
