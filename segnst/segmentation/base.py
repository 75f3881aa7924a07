"""What every segmenter offers, and the lookup from the names that people type to its regions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from segnst.errors import PlanError, did_you_mean
from segnst.types import Region

FOREGROUND = "foreground"
# classes without a shape of their own, of the bundled segmenter and of what people train
STUFF = frozenset((
    "other", "none", "background", "unlabeled", "unlabelled", "void",
    "sky", "building", "wall", "road", "street", "pavement",
    "sidewalk", "ground", "terrain", "vegetation", "tree", "grass", "water",
))  # fmt: skip

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

Carry = TypeVar("Carry")


class Segmenter(ABC, Generic[Carry]):
    """Says for each pixel how likely each region is. Generic in its carry: what it knows of the frames before.

    name      how the user calls it
    regions   its regions in the order of the output's channels
    path      the file that its weights were loaded from, or None
    network   its network, for those who look into it (gradients, Grad-CAM), or None
    in_order  whether the answer to a frame depends on all frames before it, so that none of them may be left out.
              False: :meth:`skip` says what is left of a frame that is not looked at

    Only :meth:`frame` must be written. Members that take a carry take None too, which is the carry before the first
    frame. ``tests/segmentation/test_contract.py`` holds every registered segmenter to what is said here.
    """

    path: Path | None = None
    network: nn.Module | None = None
    in_order: bool = False

    def __init__(self, name: str, regions: Sequence[Region], path: Path | None = None) -> None:
        self.name, self.regions, self.path = name, tuple(regions), path

    @abstractmethod
    def frame(self, rgb: Tensor, carry: Carry | None) -> tuple[Tensor, Carry | None]:
        """Look at one frame.

        rgb ``[1,3,H,W]`` float in [0,1] and the carry of the frames before -> probabilities ``[1,K,h,w]`` that sum to
        1 over K, corners aligned with the frame's, and the carry for the next frame. Frames of one size get
        probabilities of one size. Gradients flow where the segmenter has a network.
        """

    def __call__(self, rgb: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry | None]:
        """Look at T frames in order: rgb ``[T,3,H,W]`` -> probabilities ``[T,K,h,w]`` without gradients, carry.

        A segmenter that can look at several frames at once may override this; its answers are those of the loop.
        """
        import torch

        out = []
        with torch.inference_mode():
            for one in rgb.split(1):  # type: ignore[no-untyped-call]
                probabilities, carry = self.frame(one, carry)
                out.append(probabilities)
            return torch.cat(out), carry

    def select(self, names: Sequence[str]) -> Segmenter[Carry]:
        """Return the segmenter for a plan's regions; one that knows single objects (``person:1``) is told which.

        Raises PlanError for names that it does not know; a segmenter of classes leaves that to :func:`resolve`.
        """
        return self

    def channels(self, region: int) -> tuple[int, ...]:
        """Say in which channels :meth:`select` has put a region of the segmenter before it, the likelier first.

        region  its index before the selection, which is its value in label maps
        """
        return (region,)

    def skip(self, carry: Carry | None) -> Carry | None:
        """Return the carry behind a frame that is not looked at; for segmenters that are not ``in_order``."""
        return carry

    def after_cut(self, carry: Carry | None) -> Carry | None:
        """Return what is still known when a new scene begins; by default nothing."""
        return None

    def notes(self, carry: Carry | None) -> list[str]:
        """Return warnings for the user, at the end of a clip."""
        return []

    def confidence(self, carry: Carry | None) -> dict[str, tuple[float, ...]]:
        """Return how sure it was of its regions so far: {name of the region: one value in [0,1] a frame}."""
        return {}

    def colors(self, carry: Carry | None) -> np.ndarray | None:
        """Return a palette of its own for label maps, uint8 RGB [K,3], or None for the usual one."""
        return None

    @property
    def weights(self) -> dict[str, Path]:
        """The files of weights that take part: {name: path}."""
        return {} if self.path is None else {self.name: self.path}


AnySegmenter: TypeAlias = Segmenter[Any]  # for those who hand its carry on without looking into it
SegmenterCarry: TypeAlias = Any  # the carry of such a one


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the user points at on one frame, in pixels of that frame (upright); at least one of them is given.

    box         x, y (top left corner), width, height
    points      (x, y, belongs): clicks, inside the object or (False) outside of it
    foreground, background   strokes [1,1,H,W] bool: pixels that surely belong, that surely do not
    name        a class that a segmenter may know, which helps where it is visible
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

    name  how the user calls it;  path  the file that its weights were loaded from, or None
    """

    path: Path | None = None

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.name, self.path = name, path

    @abstractmethod
    def __call__(self, rgb: Tensor, prompt: Prompt) -> Tensor:
        """RGB ``[1,3,H,W]`` float in [0,1] and a prompt -> soft mask ``[1,1,H,W]`` in [0,1].

        Raises UsageError when the prompt lies outside the frame or holds nothing that can be cut out.
        """

    @property
    def weights(self) -> dict[str, Path]:
        """The files of weights that take part: {name: path}."""
        return {} if self.path is None else {self.name: self.path}


def objects(regions: Sequence[Region]) -> tuple[Region, ...]:
    """The regions that are things and not ground, sky or the rest: what ``foreground`` means."""
    return tuple(r for r in regions if r.name not in STUFF)


def resolve(name: str, regions: Sequence[Region]) -> tuple[Region, ...]:
    """Return the regions that a name means: the region so called, else all that have it as an alias;
    ``foreground`` means every object.

    Case and surrounding blanks do not count. Raises PlanError that suggests the nearest name and lists all.
    """
    word = name.strip().lower()
    found = tuple(r for r in regions if r.name == word) or tuple(r for r in regions if word in r.aliases)
    if found:
        return found
    if word == FOREGROUND:
        return objects(regions)
    if ":" in word:
        raise PlanError(
            f"'{name}' asks for one object, and this segmenter cannot tell one {word.partition(':')[0]} from another. "
            f"Choose --segmenter mask_rcnn."
        )
    known = [r.name for r in regions]
    near = did_you_mean(word, [*known, *(a for r in regions for a in r.aliases)])
    raise PlanError(f"This segmenter has no class '{name}'.{near} It knows: {', '.join(known)}.")
