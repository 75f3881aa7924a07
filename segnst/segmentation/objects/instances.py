"""Single objects as regions: ``person:1``, ``person:left``, ``car:*``, each the same object from frame to frame.

A *finder* says which objects a frame shows; this file follows them through time and gives each to the region
that asks for it.

    NAME:K        the K-th object of the class, in order of first sight; of those first seen together the largest
                  is first. Number 1 is the largest of the first frame.
    NAME:left     the leftmost, NAME:right the rightmost, NAME:largest the largest when first seen, and that same
                  object from then on; chosen anew when it has been out of sight for a second or so
    NAME, NAME:*  all objects of the class

An object belongs to one region: a number goes before a place, a place before a class, a class before a group of
classes (car before vehicle). So ``person:1=… person=…`` is one person and all the others.

Following: an object is the one whose mask of the last sight it overlaps most (greedy, as in SORT, Bewley et al.
2016, arXiv:1602.00763, with masks for boxes); one that is less sure than a new object must be is still taken where
a known one was (as in ByteTrack, Zhang et al. 2022, arXiv:2110.06864).
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

SURE = 0.5  # score from which an object is believed at first sight
STILL = 0.3  # … and where a known one was
OVERLAP = 0.2  # IoU with the last sight from which it is the same object; of another class, OVERLAP_OTHER
OVERLAP_OTHER = 0.5
DUPLICATE = 0.7  # IoU from which two finds are one object
FORGET = 30  # frames out of sight
PLACES = ("left", "right", "largest")
_REST = ("background", "foreground")  # the plan's own words


@dataclass(frozen=True, slots=True)
class Found:
    """The objects of one frame.

    classes  index of each one's region in the finder's ``classes``
    scores   how sure the finder is of each, in [0,1]
    masks    [N,h,w] float in [0,1], corners aligned with the frame's
    """

    classes: tuple[int, ...]
    scores: tuple[float, ...]
    masks: Tensor


class Finder(ABC):
    """Finds the objects of one frame.

    name     how the user calls it
    classes  what it tells apart; ``classes[0]`` is none of them
    path     the file that its weights were loaded from, or None
    """

    def __init__(self, name: str, classes: Sequence[Region], path: Path | None = None) -> None:
        self.name, self.classes, self.path = name, tuple(classes), path

    @abstractmethod
    def __call__(self, rgb: Tensor) -> Found:
        """RGB ``[1,3,H,W]`` in [0,1] -> the objects. It should report what it is sure of by more than ``STILL``."""

    def only(self, classes: frozenset[int]) -> Finder:
        """Return a finder that need not look for other classes than these, where each costs time."""
        return self

    @property
    def weights(self) -> dict[str, Path]:
        """The files of weights that take part: {name: path}."""
        return {} if self.path is None else {self.name: self.path}


@dataclass(frozen=True, slots=True)
class Request:
    """A region of a plan: ``which`` of the objects of ``classes`` (a number, a place, or ``*`` for all)."""

    name: str
    classes: frozenset[int]
    which: int | str

    @property
    def order(self) -> tuple[int, int]:
        """The smaller goes before the larger where both mean an object."""
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
    """An object that was seen: its place in ``InstanceCarry.seen``, and its mask [h,w] bool of the last sight."""

    number: int
    mask: Tensor
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class InstanceCarry:
    """What the next frame needs to know.

    tracks  the objects seen within the last ``FORGET`` frames
    seen    class of every object ever seen, in order of first sight
    chosen  which object a place (``person:left``) stands for
    """

    tracks: tuple[Track, ...] = ()
    seen: tuple[int, ...] = ()
    chosen: Mapping[Request, int] = field(default_factory=dict)


def _solid(masks: Tensor) -> Tensor:
    """Where objects are, to compare them: [N,h,w] in [0,1] -> bool, with a long side of at most 640 or so."""
    step = max(1, max(masks.shape[1:]) // 640)
    return masks[:, ::step, ::step] > 0.5


def _iou(masks: Tensor, others: Tensor) -> Tensor:
    """[N,h,w] and [M,h,w] bool -> [N,M]."""
    a, b = masks.flatten(1).float(), others.flatten(1).float()
    both = a @ b.T
    return both / (a.sum(1)[:, None] + b.sum(1)[None] - both).clamp_min(1)


def without_duplicates(found: Found) -> Found:
    """Surest first, without what lies on a surer object (a car that is a truck as well) and without empty masks."""
    order = sorted(range(len(found.scores)), key=lambda i: -found.scores[i])
    solid = _solid(found.masks)
    overlap = _iou(solid, solid)
    kept: list[int] = []
    for i in order:
        if solid[i].any() and not any(overlap[i, k] > DUPLICATE for k in kept):
            kept.append(i)
    return Found(tuple(found.classes[i] for i in kept), tuple(found.scores[i] for i in kept), found.masks[kept])


def follow(found: Found, carry: InstanceCarry) -> tuple[Found, tuple[int, ...], InstanceCarry]:
    """Say which object each find is -> (the finds that are believed, the number of each, carry)."""
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
    """A segmenter of single objects round a finder.

    Its regions are the finder's classes, each all objects of one; :meth:`select` gives a segmenter for the
    regions of a plan. Probabilities: where objects overlap, the surer lies in front.
    """

    in_order = True  # an object has its number from the frames before

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
        """Return a segmenter whose regions are these, then ``object`` for all objects that none of them means.

        Raises PlanError for an unknown class, with the nearest name, and for an unknown choice behind the colon.
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
        """A class is found in the regions that were asked for of it, in their order, and among all other objects."""
        if not self.requests or region == 0:
            return (region,)
        mine = [k for k, request in enumerate(self.requests, 1) if region in request.classes]
        return (*mine, len(self.requests) + 1)

    @property
    def weights(self) -> dict[str, Path]:
        return self.finder.weights

    @torch.inference_mode()
    def objects(self, rgb: Tensor, carry: InstanceCarry | None) -> tuple[Found, tuple[int, ...], InstanceCarry]:
        """What is seen in one frame [1,3,H,W], and the number of each object in order of first sight, from 0."""
        return follow(without_duplicates(self.finder(rgb)), carry or InstanceCarry())

    def frame(self, rgb: Tensor, carry: InstanceCarry | None) -> tuple[Tensor, InstanceCarry]:
        found, numbers, carry = self.objects(rgb, carry)
        owners, carry = self._owners(found, numbers, carry)
        return compose(found, owners, len(self.regions))[None], carry

    def _owners(
        self, found: Found, numbers: tuple[int, ...], carry: InstanceCarry
    ) -> tuple[tuple[int, ...], InstanceCarry]:
        """Region of each object. Places that stand for no object in sight choose among those that nobody has."""
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
    """Of some objects, the leftmost or rightmost by center, or the largest."""
    if place == "largest":
        return max(choice, key=lambda i: float((masks[i] > 0.5).sum()))
    center = {i: float((masks[i] > 0.5).nonzero()[:, 1].float().mean()) for i in choice}
    return (min if place == "left" else max)(choice, key=lambda i: center[i])


def compose(found: Found, owners: Sequence[int], count: int) -> Tensor:
    """Masks [N,h,w] and the region of each -> probabilities [count,h,w] that sum to 1; region 0 is what is left."""
    out = found.masks.new_zeros(count, *found.masks.shape[1:])
    rest = torch.ones_like(out[0])
    for i in sorted(range(len(owners)), key=lambda i: -found.scores[i]):
        out[owners[i]] += rest * found.masks[i]
        rest = rest * (1 - found.masks[i])
    out[0] += rest
    return out
