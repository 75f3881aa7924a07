"""Detect, then mask: a detector draws boxes, and a selector (SAM, GrabCut) cuts out the object in each of them."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segnst import registry
from segnst.errors import PlanError, SegnstWarning, UsageError, WeightsError
from segnst.segmentation.base import Prompt, Selector, resolve
from segnst.segmentation.objects.instances import Finder, Found, InstanceSegmenter
from segnst.types import Region

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DETECTOR, FALLBACK = "fasterrcnn_resnet50_fpn_v2", "deeplab"
MOST = 30  # objects per frame


@dataclass(frozen=True, slots=True)
class Detection:
    """A box: index of the class in the detector's ``classes``, score in [0,1], x, y, width, height in pixels."""

    index: int
    score: float
    box: tuple[float, float, float, float]


class Detector(ABC):
    """Draws boxes around the objects of a frame.

    name     what the user types to choose it
    classes  the classes that it knows, by index; ``classes[0]`` is the background
    path     the file that its weights were loaded from, or None
    """

    def __init__(self, name: str, classes: Sequence[Region], path: Path | None = None) -> None:
        self.name, self.classes, self.path = name, tuple(classes), path

    @abstractmethod
    def __call__(self, rgb: Tensor, wanted: frozenset[int]) -> list[Detection]:
        """RGB ``[1,3,H,W]`` float in [0,1] -> detections, in any order.

        wanted  the indices of the classes to look for
        """

    @property
    def weights(self) -> dict[str, Path]:
        """The files of weights that are in use: {name: path}."""
        return {} if self.path is None else {self.name: self.path}


class DetectThenMask(Finder):
    """A finder that detects the objects called ``names`` and then cuts them out.

    Its classes are these names as the user typed them (None: all classes of the detector). The masks have the size of
    the frame. Boxes in which the selector finds nothing are left out.
    """

    def __init__(self, detector: Detector, selector: Selector, names: Sequence[str] | None = None) -> None:
        super().__init__(f"{detector.name}+{selector.name}", detector.classes, detector.path)
        self.detector, self.selector = detector, selector
        self.members = [frozenset({r.index}) for r in detector.classes[1:]]  # of each class: the detector's classes
        if names is not None:
            words = list(dict.fromkeys(n.strip().lower() for n in names))
            self.classes = (Region(0, "other"), *(Region(k, n) for k, n in enumerate(words, 1)))
            self.members = [frozenset(r.index for r in resolve(n, detector.classes)) for n in words]

    def only(self, classes: frozenset[int]) -> DetectThenMask:
        """Return a finder that looks for these of its classes only, because cutting out each object takes time."""
        narrow = copy(self)
        narrow.members = [m if k in classes else frozenset() for k, m in enumerate(self.members, 1)]
        return narrow

    @property
    def weights(self) -> dict[str, Path]:
        return {**super().weights, **self.selector.weights}

    def __call__(self, rgb: Tensor) -> Found:
        import torch

        wanted = frozenset[int]().union(*self.members)
        seen = sorted(self.detector(rgb, wanted), key=lambda d: -d.score)[:MOST]
        classes, scores, masks = [], [], []
        for detection in seen:
            mine = [k for k, members in enumerate(self.members, 1) if detection.index in members]
            if not mine:
                continue
            try:
                mask = self.selector(rgb, Prompt(box=detection.box, name=self.detector.classes[detection.index].name))
            except UsageError:
                continue
            classes.append(min(mine, key=lambda k: len(self.members[k - 1])))
            scores.append(detection.score)
            masks.append(mask[0, 0].float())
        return Found(tuple(classes), tuple(scores), torch.stack(masks) if masks else rgb.new_zeros(0, *rgb.shape[2:]))


def load_segmenter(
    name: str, *, device: str | torch.device, offline: bool = False, weights: Path | None = None
) -> InstanceSegmenter:
    """Load ``detect_sam`` or ``detect_grabcut``: the default detector with that selector. Raises WeightsError."""
    selector = name.removeprefix("detect_")
    return InstanceSegmenter(load(None, detector=None, selector=selector, device=device, offline=offline))


def load(
    names: Sequence[str] | None,
    *,
    detector: str | None,
    selector: str,
    device: str | torch.device,
    offline: bool = False,
) -> DetectThenMask:
    """Load the finder of the objects called ``names`` (None: of all classes).

    detector  a registered name; None: Faster R-CNN, or, if its weights are not available, the bundled segmenter with
              a SegnstWarning

    Raises UsageError, PlanError for a name that the detector does not know, WeightsError.
    """
    cut = registry.get(registry.SELECTORS, selector, "selector")
    choice = detector or DETECTOR
    make = registry.get(registry.DETECTORS, choice, "detector")
    try:
        boxes: Detector = make(choice, device=device, offline=offline)
    except WeightsError as error:
        if detector is not None:
            raise
        boxes = registry.get(registry.DETECTORS, FALLBACK, "detector")(FALLBACK, device=device, offline=offline)
        try:
            meant = [resolve(n, boxes.classes)[0].name for n in names or ()]
        except PlanError:
            raise error from None
        warnings.warn(
            f"{error} The bundled segmenter takes the place of the detector: objects of a class that touch count as one"
            + (f", and it knows {', '.join(names)} as {', '.join(meant)}." if names else "."),
            SegnstWarning,
            stacklevel=2,
        )
    return DetectThenMask(boxes, cut(selector, device=device, offline=offline), names)
