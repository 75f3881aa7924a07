"""Where a chunk begins: what earlier frames leave for it, and how its place in the source is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from torch import Tensor

from segnst.errors import InputError
from segnst.pipeline import State
from segnst.types import Clip
from segnst.video.read import Reader


@dataclass(frozen=True, slots=True)
class Mark:
    """A frame of the source, by which a place in it is recognized: its time, and the SHA-256 of its pixels."""

    pts: int
    sha256: str

    @classmethod
    def of(cls, clip: Clip) -> Mark:
        """The mark of a single frame."""
        return cls(clip.pts[0], _digest(clip.rgb))

    def fits(self, clip: Clip) -> bool:
        """Whether ``clip`` is that frame."""
        return clip.pts[0] == self.pts and _digest(clip.rgb) == self.sha256


@dataclass(frozen=True, slots=True)
class Start:
    """Where a chunk begins; ``Start()`` is the beginning of the film.

    chunk      number of the chunk;  before  number of frames before it
    state      of the pipeline after these frames
    mark       the last frame before it, or None
    first_pts  time of the film's first frame in the source, or None if it was not read yet
    last       time of the last frame before it in the output, -1 if there is none
    """

    chunk: int = 0
    before: int = 0
    state: State = field(default_factory=State)
    mark: Mark | None = None
    first_pts: int | None = None
    last: int = -1


def _digest(rgb: Tensor) -> str:
    return hashlib.sha256(rgb.cpu().contiguous().numpy().tobytes()).hexdigest()


def frames_after(reader: Reader, mark: Mark | None, before: int) -> Iterator[Clip]:
    """The frames of the source behind the marked one, which is number ``before``, counted from 1.

    The place is searched. If what is found there is not the marked frame (files with a wrong index), all frames before
    it are decoded. Raises InputError if it is not there either.
    """
    if mark is None:
        yield from reader
        return
    frames = reader.since(mark.pts)
    first = None
    with suppress(InputError):
        first = next(frames, None)
    if first is not None and mark.fits(first):
        yield from frames
        return
    for number, clip in enumerate(reader, 1):
        if number == before and not mark.fits(clip):
            raise InputError(
                f"Frame {before} of {reader.info.path} is decoded differently than before, so the run cannot go on "
                "from there; begin anew with --restart."
            )
        if number > before:
            yield clip
