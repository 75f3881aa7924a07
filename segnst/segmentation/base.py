"""The base classes of segmenters and selectors, and the lookup of regions by the names that users type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from segnst.errors import PlanError, did_you_mean
from segnst.types import Motion, Region

FOREGROUND = "foreground"
# Classes that are not countable objects ("stuff" as opposed to "things"), of the bundled segmenter and of networks
# that users train.
STUFF = frozenset((
    "other", "none", "background", "unlabeled", "unlabelled", "void",
    "sky", "building", "wall", "road", "street", "pavement",
    "sidewalk", "ground", "terrain", "vegetation", "tree", "grass", "water",
))  # fmt: skip

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from segnst.engines.base import Engine

Carry = TypeVar("Carry")


class Segmenter(ABC, Generic[Carry]):
    """Gives the probability of each region at each pixel. Generic in its carry: what it remembers of earlier frames.

    name      what the user types to choose it
    regions   its regions in the order of the output's channels
    path      the file that its weights were loaded from, or None
    network   its network, for code that studies it (gradients, Grad-CAM), or None
    in_order  whether the masks of a frame depend on all earlier frames, so that no frame may be skipped. Where it is
              False, frames may be skipped, and :meth:`skip` gives the carry after a skipped frame

    A subclass must define :meth:`frame` only. Every method that takes a carry also takes None, which is the carry
    before the first frame. ``tests/segmentation/test_contract.py`` checks these promises for every registered
    segmenter.
    """

    path: Path | None = None
    network: nn.Module | None = None
    in_order: bool = False

    def __init__(self, name: str, regions: Sequence[Region], path: Path | None = None) -> None:
        self.name, self.regions, self.path = name, tuple(regions), path

    @abstractmethod
    def frame(self, rgb: Tensor, carry: Carry | None) -> tuple[Tensor, Carry | None]:
        """Segment one frame.

        rgb ``[1,3,H,W]`` float in [0,1] and the carry of the earlier frames -> probabilities ``[1,K,h,w]`` that sum
        to 1 over K, corners aligned with the frame's, and the carry for the next frame. Frames of equal size get
        probabilities of equal size. If the segmenter has a network, gradients flow through it.
        """

    def __call__(self, rgb: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry | None]:
        """Segment T frames in order: rgb ``[T,3,H,W]`` -> probabilities ``[T,K,h,w]`` without gradients, carry.

        A segmenter that can process several frames at once may override this, with the same results as the loop.
        """
        import torch

        out = []
        with torch.inference_mode():
            for one in rgb.split(1):  # type: ignore[no-untyped-call]
                probabilities, carry = self.frame(one, carry)
                out.append(probabilities)
            return torch.cat(out), carry

    def select(self, names: Sequence[str]) -> Segmenter[Carry]:
        """Return a segmenter for the regions of a plan. One that separates single objects (``person:1``) needs it.

        Raises PlanError for unknown names. Segmenters of classes return themselves and leave that check to
        :func:`resolve`.
        """
        return self

    def channels(self, region: int) -> tuple[int, ...]:
        """Return the channels into which :meth:`select` has put a region, the likeliest channel first.

        region  index of the region before the selection, which is also its value in label maps
        """
        return (region,)

    def use(self, engine: Engine) -> None:
        """Run the network by this engine from now on, where gradients are not needed; by default nothing changes."""

    def skip(self, carry: Carry | None) -> Carry | None:
        """Return the carry after a frame that was skipped; only for segmenters that are not ``in_order``."""
        return carry

    def moved(self, carry: Carry | None, motion: Motion) -> Carry | None:
        """Return the carry for the next frame, given how that frame moves. It is called before :meth:`frame`.

        A segmenter can take along the flow what it knows of earlier frames; by default, the carry stays the same. It
        must also work where this is never called, because no flow is computed.
        """
        return carry

    def after_cut(self, carry: Carry | None) -> Carry | None:
        """Return the part of the carry that still holds after a scene cut; by default nothing."""
        return None

    def notes(self, carry: Carry | None) -> list[str]:
        """Return warnings for the user, at the end of a clip."""
        return []

    def confidence(self, carry: Carry | None) -> dict[str, tuple[float, ...]]:
        """Return the confidence of its regions so far: {name of the region: one value in [0,1] per frame}."""
        return {}

    def colors(self, carry: Carry | None) -> np.ndarray | None:
        """Return a palette for label maps, uint8 RGB [K,3], or None for the default palette."""
        return None

    @property
    def weights(self) -> dict[str, Path]:
        """The files of weights that are in use: {name: path}."""
        return {} if self.path is None else {self.name: self.path}


AnySegmenter: TypeAlias = Segmenter[Any]  # for code that passes the carry on without reading it
SegmenterCarry: TypeAlias = Any  # the carry of an AnySegmenter


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the user points at on one frame, in pixels of that upright frame: a box, points or a foreground stroke.

    box         x, y (top left corner), width, height
    points      (x, y, belongs): clicks, inside the object or (False) outside of it
    foreground, background   strokes [1,1,H,W] bool: pixels that surely belong to the object, that surely do not
    name        name of the object; where a segmenter has a class of this name, it helps to find the object
    """

    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float, bool], ...] = ()
    foreground: Tensor | None = None
    background: Tensor | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.box is None and not self.points and self.foreground is None:
            raise ValueError("a prompt needs a box, a point or a stroke")


class Selector(ABC):
    """Cuts one object out of one frame.

    name  what the user types to choose it;  path  the file that its weights were loaded from, or None
    """

    path: Path | None = None

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.name, self.path = name, path

    @abstractmethod
    def __call__(self, rgb: Tensor, prompt: Prompt) -> Tensor:
        """RGB ``[1,3,H,W]`` float in [0,1] and a prompt -> soft mask ``[1,1,H,W]`` in [0,1].

        Raises UsageError when the prompt lies outside the frame or nothing can be cut out there.
        """

    @property
    def weights(self) -> dict[str, Path]:
        """The files of weights that are in use: {name: path}."""
        return {} if self.path is None else {self.name: self.path}


def objects(regions: Sequence[Region]) -> tuple[Region, ...]:
    """The regions that are countable objects, not ground, sky or the rest. The name ``foreground`` means these."""
    return tuple(r for r in regions if r.name not in STUFF)


def resolve(name: str, regions: Sequence[Region]) -> tuple[Region, ...]:
    """Return the regions that a name means: the region of that name, or else all regions with that alias.

    ``foreground`` means every object. Case and surrounding blanks are ignored. Raises PlanError, which suggests the
    nearest name and lists all names.
    """
    word = name.strip().lower()
    found = tuple(r for r in regions if r.name == word) or tuple(r for r in regions if word in r.aliases)
    if found:
        return found
    if word == FOREGROUND:
        return objects(regions)
    if ":" in word:
        raise PlanError(
            f"'{name}' is a single object, but this segmenter cannot tell one {word.partition(':')[0]} from another. "
            f"Choose --segmenter mask_rcnn."
        )
    known = [r.name for r in regions]
    near = did_you_mean(word, [*known, *(a for r in regions for a in r.aliases)])
    raise PlanError(f"This segmenter has no class '{name}'.{near} It knows: {', '.join(known)}.")
