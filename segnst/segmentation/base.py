"""What every segmenter offers, and the lookup from the names that people type to its regions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

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
    from torch import Tensor


class Segmenter(Protocol):
    """Says for each pixel how likely each region is.

    name     how the user calls it
    regions  its regions in the order of the output's channels

    Calling it: rgb ``[T,3,H,W]`` float in [0,1] and the carry of the frames before (None at first) give
    probabilities ``[T,K,h,w]`` that sum to 1 over K, at the network's resolution, corners aligned with the
    frame's, and the carry for the frames that follow.

    A segmenter that counts frames, or must see all of them in order, also has ``after_cut(carry)``: the carry that a
    new scene begins with (others begin anew), and may have ``notes(carry)``: warnings for the user at the end.
    """

    name: str
    regions: tuple[Region, ...]

    def __call__(self, rgb: Tensor, carry: Any = None) -> tuple[Tensor, Any]: ...


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


class Selector(Protocol):
    """Cuts one object out of one frame: rgb ``[1,3,H,W]`` float in [0,1] and a prompt -> soft mask ``[1,1,H,W]``.

    Raises UsageError when the prompt lies outside the frame or holds nothing that can be cut out.
    """

    name: str

    def __call__(self, rgb: Tensor, prompt: Prompt) -> Tensor: ...


def select_regions(segmenter: Segmenter, names: Sequence[str]) -> Segmenter:
    """Return the segmenter for a plan's regions: one that knows single objects is told which (``person:1``).

    Its ``select(names)`` does it; segmenters of classes have none and are returned as they are.
    Raises PlanError for names that it does not know.
    """
    select = getattr(segmenter, "select", None)
    return select(names) if select is not None and names else segmenter


def frame_by_frame(one: Callable[[Tensor, Any], tuple[Tensor, Any]], rgb: Tensor, carry: Any) -> tuple[Tensor, Any]:
    """The calling of a segmenter that takes frames one by one: ``one`` has them [1,3,H,W], with the carry before."""
    import torch

    out = []
    for frame in rgb.split(1):  # type: ignore[no-untyped-call]
        probabilities, carry = one(frame, carry)
        out.append(probabilities)
    return torch.cat(out).to(rgb.device), carry


def after_cut(segmenter: Segmenter | None, carry: Any) -> Any:
    """What a segmenter still knows when a new scene begins."""
    keep = getattr(segmenter, "after_cut", None)
    return None if keep is None or carry is None else keep(carry)


def notes(segmenter: Segmenter | None, carry: Any) -> list[str]:
    """What a segmenter has to say at the end of a clip."""
    say = getattr(segmenter, "notes", None)
    return [] if say is None or carry is None else list(say(carry))


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
