"""Single objects as regions: ``person:1``, ``person:left`` or ``car:*`` mean the same objects on every frame.

A *finder* reports the objects of a frame. This module follows them through time and assigns each one to a region.

    NAME:K        the K-th object of the class, numbered in the order in which they first appear. Objects that appear
                  on the same frame are numbered from the largest to the smallest, so number 1 is the largest object
                  of the first frame that shows any
    NAME:left     the leftmost object (NAME:right the rightmost, NAME:largest the largest). The choice is made once,
                  and that object is followed; it is made again when the object has been lost for about a second
    NAME, NAME:*  all objects of the class

An object belongs to one region only: a number takes precedence over a place, a place over a class, and a class over a
group of classes (car over vehicle). So ``person:1=… person=…`` means one person and all others.

To follow objects, each found object is matched with the known one whose last mask it overlaps most (greedily as in
SORT, Bewley et al. 2016, arXiv:1602.00763, but with masks instead of boxes). A find whose score is too low for a new
object is still accepted if it matches a known one (as in ByteTrack, Zhang et al. 2022, arXiv:2110.06864).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from segnst.errors import PlanError
from segnst.segmentation.base import Segmenter, resolve
from segnst.types import Region

SURE = 0.5  # score from which a new object is accepted
STILL = 0.3  # score from which an object is accepted that matches a known one
OVERLAP = 0.2  # IoU with its last mask from which a find is a known object; of another class, OVERLAP_OTHER
OVERLAP_OTHER = 0.5
DUPLICATE = 0.7  # IoU from which two finds are the same object
FORGET = 30  # number of frames after which a lost object is forgotten
PLACES = ("left", "right", "largest")
_REST = ("background", "foreground")  # words of the plan that name no class


@dataclass(frozen=True, slots=True)
class Found:
    """The objects of one frame.

    classes  class of each object, as an index of the finder's ``classes``
    scores   confidence of the finder for each object, in [0,1]
    masks    [N,h,w] float in [0,1], corners aligned with the frame's
    """

    classes: tuple[int, ...]
    scores: tuple[float, ...]
    masks: Tensor


class Finder(ABC):
    """Finds the objects of one frame.

    name     what the user types to choose it
    classes  the classes that it knows, by index; ``classes[0]`` is the background
    path     the file that its weights were loaded from, or None
    """

    def __init__(self, name: str, classes: Sequence[Region], path: Path | None = None) -> None:
        self.name, self.classes, self.path = name, tuple(classes), path

    @abstractmethod
    def __call__(self, rgb: Tensor) -> Found:
        """RGB ``[1,3,H,W]`` in [0,1] -> the objects. All with a score above ``STILL`` should be reported."""

    def only(self, classes: frozenset[int]) -> Finder:
        """Return a finder that may leave out all classes but these, to save time."""
        return self

    @property
    def weights(self) -> dict[str, Path]:
        """The files of weights that are in use: {name: path}."""
        return {} if self.path is None else {self.name: self.path}


@dataclass(frozen=True, slots=True)
class Request:
    """A region of a plan: ``which`` objects of ``classes`` it means (a number, one of ``PLACES``, or ``*`` for all)."""

    name: str
    classes: frozenset[int]
    which: int | str

    @property
    def order(self) -> tuple[int, int]:
        """If two requests mean the same object, the one with the smaller order gets it."""
        kind = 0 if isinstance(self.which, int) else 1 if self.which in PLACES else 2
        return kind, len(self.classes)


def parse_request(name: str, regions: Sequence[Region]) -> Request:
    """Read ``person``, ``person:2``, ``person:left`` or ``person:*``. Raises PlanError."""
    word, colon, which = (part.strip() for part in name.lower().partition(":"))
    found = resolve(word, regions)
    if not colon or which == "*":
        return Request(word, frozenset(r.index for r in found), "*")
    if which not in PLACES and not (which.isdecimal() and int(which) > 0):
        raise PlanError(f"'{name}' should be {word}:NUMBER (from 1), {word}:left, right, largest or {word}:*.")
    number = int(which) if which.isdecimal() else which
    return Request(f"{word}:{number}", frozenset(r.index for r in found), number)


@dataclass(frozen=True, slots=True)
class Track:
    """A known object: its index in ``InstanceCarry.seen``, its last mask [h,w] bool, and the frames since then."""

    number: int
    mask: Tensor
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class InstanceCarry:
    """What the next frame needs to know.

    tracks  the objects that were seen within the last ``FORGET`` frames
    seen    class of every object that was ever seen, in order of first appearance
    chosen  the object that each request by place (``person:left``) has chosen
    """

    tracks: tuple[Track, ...] = ()
    seen: tuple[int, ...] = ()
    chosen: Mapping[Request, int] = field(default_factory=dict)


def _solid(masks: Tensor) -> Tensor:
    """Reduced binary masks for comparisons: [N,h,w] in [0,1] -> bool, with a long side of at most about 640."""
    step = max(1, max(masks.shape[1:]) // 640)
    return masks[:, ::step, ::step] > 0.5


def _iou(masks: Tensor, others: Tensor) -> Tensor:
    """Masks [N,h,w] and [M,h,w] bool -> the IoU of each pair, [N,M]."""
    a, b = masks.flatten(1).float(), others.flatten(1).float()
    both = a @ b.T
    return both / (a.sum(1)[:, None] + b.sum(1)[None] - both).clamp_min(1)


def without_duplicates(found: Found) -> Found:
    """Sort the objects by score, and remove empty masks and duplicates (a car that was also found as a truck)."""
    order = sorted(range(len(found.scores)), key=lambda i: -found.scores[i])
    solid = _solid(found.masks)
    overlap = _iou(solid, solid)
    kept: list[int] = []
    for i in order:
        if solid[i].any() and not any(overlap[i, k] > DUPLICATE for k in kept):
            kept.append(i)
    return Found(tuple(found.classes[i] for i in kept), tuple(found.scores[i] for i in kept), found.masks[kept])


def follow(found: Found, carry: InstanceCarry) -> tuple[Found, tuple[int, ...], InstanceCarry]:
    """Match the finds with the known objects -> (the accepted finds, the number of each one's object, carry)."""
    solid = _solid(found.masks)
    number: dict[int, int] = {}
    tracks = [t for t in carry.tracks if t.mask.shape == solid.shape[1:]]
    if tracks and len(solid):
        overlap = _iou(solid, torch.stack([t.mask for t in tracks])).tolist()
        pairs = [(overlap[i][k], i, k) for i in range(len(solid)) for k in range(len(tracks))]
        taken: set[int] = set()
        for value, i, k in sorted(pairs, reverse=True):
            same = carry.seen[tracks[k].number] == found.classes[i]
            if i not in number and k not in taken and value >= (OVERLAP if same else OVERLAP_OTHER):
                number[i] = tracks[k].number
                taken.add(k)
    new = [i for i in range(len(solid)) if i not in number and found.scores[i] >= SURE]
    seen = list(carry.seen)
    for i in sorted(new, key=lambda i: -int(solid[i].sum())):
        number[i] = len(seen)
        seen.append(found.classes[i])
    kept = sorted(number)
    here = {number[i] for i in kept}
    gone = [replace(t, unseen=t.unseen + 1) for t in tracks if t.number not in here and t.unseen < FORGET]
    now = [Track(number[i], solid[i]) for i in kept]
    believed = Found(tuple(seen[number[i]] for i in kept), tuple(found.scores[i] for i in kept), found.masks[kept])
    return believed, tuple(number[i] for i in kept), InstanceCarry((*now, *gone), tuple(seen), carry.chosen)


class InstanceSegmenter(Segmenter[InstanceCarry]):
    """A segmenter of single objects that uses a finder.

    Its regions are the finder's classes, each with all objects of that class; :meth:`select` returns a segmenter for
    the regions of a plan. Where objects overlap, the one with the higher score lies in front.
    """

    in_order = True  # the numbers of the objects come from the earlier frames

    def __init__(self, finder: Finder, requests: Sequence[tuple[Request, tuple[str, ...]]] = ()) -> None:
        super().__init__(finder.name, finder.classes, finder.path)
        self.finder = finder
        self.requests = tuple(request for request, _ in requests)
        if requests:
            asked = [
                Region(i, r.name, names, r.which if isinstance(r.which, int) else None)
                for i, (r, names) in enumerate(requests, 1)
            ]
            self.regions = (Region(0, "other"), *asked, Region(len(asked) + 1, "object"))

    def select(self, names: Sequence[str]) -> InstanceSegmenter:
        """Return a segmenter whose regions are these names, then ``object`` for all other objects.

        Raises PlanError for an unknown class, with the nearest name, and for an unknown choice after the colon.
        """
        asked: dict[tuple[frozenset[int], int | str], tuple[Request, tuple[str, ...]]] = {}
        for name in names:
            if name not in _REST:
                request = parse_request(name, self.finder.classes)
                first, also = asked.get((request.classes, request.which), (request, ()))
                asked[(request.classes, request.which)] = (first, (*also, name))
        if not asked:
            return InstanceSegmenter(self.finder)
        wanted = frozenset[int]().union(*(r.classes for r, _ in asked.values()))
        return InstanceSegmenter(self.finder.only(wanted), [*asked.values()])

    def channels(self, region: int) -> tuple[int, ...]:
        """The channels of the requests for this class, in their order, then the channel of all other objects."""
        if not self.requests or region == 0:
            return (region,)
        mine = [k for k, request in enumerate(self.requests, 1) if region in request.classes]
        return (*mine, len(self.requests) + 1)

    @property
    def weights(self) -> dict[str, Path]:
        return self.finder.weights

    @torch.inference_mode()
    def objects(self, rgb: Tensor, carry: InstanceCarry | None) -> tuple[Found, tuple[int, ...], InstanceCarry]:
        """Find and follow the objects of one frame [1,3,H,W] -> (objects, the number of each, carry).

        Objects are numbered from 0 in order of first appearance.
        """
        return follow(without_duplicates(self.finder(rgb)), carry or InstanceCarry())

    def frame(self, rgb: Tensor, carry: InstanceCarry | None) -> tuple[Tensor, InstanceCarry]:
        found, numbers, carry = self.objects(rgb, carry)
        owners, carry = self._owners(found, numbers, carry)
        return compose(found, owners, len(self.regions))[None], carry

    def _owners(
        self, found: Found, numbers: tuple[int, ...], carry: InstanceCarry
    ) -> tuple[tuple[int, ...], InstanceCarry]:
        """Return the region of each object, and the carry.

        A request by place that has no object, or whose object was forgotten, chooses among the free ones.
        """
        if not self.requests:
            return found.classes, carry
        owner = [len(self.requests) + 1] * len(numbers)
        free = set(range(len(numbers)))
        alive = {t.number for t in carry.tracks}
        chosen = {r: n for r, n in carry.chosen.items() if n in alive}
        promised = set(chosen.values())
        for request in sorted(self.requests, key=lambda r: r.order):
            fits = [i for i in sorted(free) if found.classes[i] in request.classes]
            if isinstance(request.which, int):
                ranks = [n for n, c in enumerate(carry.seen) if c in request.classes]
                mine = [i for i in fits if ranks.index(numbers[i]) + 1 == request.which]
            elif request.which == "*":
                mine = fits
            else:
                choice = [i for i in fits if numbers[i] not in promised]
                if request not in chosen and choice:
                    chosen[request] = numbers[_at_place(request.which, choice, found.masks)]
                    promised.add(chosen[request])
                mine = [i for i in fits if numbers[i] == chosen.get(request)]
            for i in mine:
                owner[i] = 1 + self.requests.index(request)
            free -= set(mine)
        return tuple(owner), replace(carry, chosen=chosen)


def _at_place(place: str, choice: Sequence[int], masks: Tensor) -> int:
    """Return the leftmost or rightmost object by its center, or the largest, among the indices in ``choice``."""
    if place == "largest":
        return max(choice, key=lambda i: float((masks[i] > 0.5).sum()))
    center = {i: float((masks[i] > 0.5).nonzero()[:, 1].float().mean()) for i in choice}
    return (min if place == "left" else max)(choice, key=lambda i: center[i])


def compose(found: Found, owners: Sequence[int], count: int) -> Tensor:
    """Masks [N,h,w] and the region of each -> probabilities [count,h,w] that sum to 1; region 0 gets the rest."""
    out = found.masks.new_zeros(count, *found.masks.shape[1:])
    rest = torch.ones_like(out[0])
    for i in sorted(range(len(owners)), key=lambda i: -found.scores[i]):
        out[owners[i]] += rest * found.masks[i]
        rest = rest * (1 - found.masks[i])
    out[0] += rest
    return out
