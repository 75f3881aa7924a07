"""The first pass over a film: it divides the film into chunks that can be styled apart, in any order and anywhere.

What is global is found here, once: time stamps, scene cuts, and what the segmenter remembers (numbers of objects, what
was pointed at, how many masks were used). A chunk begins at a cut, where the pipeline begins anew anyway; or, in a long
scene, with frames that are styled and thrown away until its state is that of a run that was never divided. The paint's
statistics are held for a scene, so they are taken from the scene's first frame, which is styled before these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from segnst.jobs.chunks.start import Mark, Start
from segnst.pipeline import State
from segnst.segmentation.base import AnySegmenter, SegmenterCarry
from segnst.stabilize.cuts import CutCarry, is_cut
from segnst.types import Clip
from segnst.video.read import Reader

WARM = 16  # frames before a chunk that does not begin at a cut; docs/scale.md has what it leaves of a seam

END, SHORTER = 0.1, 3  # the last tenth of a film has chunks of a third of the length


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of the film that can be styled on its own.

    start     where to begin; its frames before the chunk are ``warm``
    warm      number of frames to style and throw away
    frames    number of frames to keep
    previous  time in the source of the last frame before those that are kept, or None
    until     time in the source of the first frame after them, or None
    scene     where the scene begins in which the chunk does, if it does not begin at a cut
    """

    start: Start
    warm: int
    frames: int
    previous: int | None
    until: int | None
    scene: Start | None = None

    @property
    def number(self) -> int:
        """The number of the chunk in the film, from 0."""
        return self.start.chunk

    @property
    def final(self) -> bool:
        """Whether the film ends with it."""
        return self.until is None


@dataclass(frozen=True, slots=True)
class _Here:
    """What is known before a frame."""

    before: int
    scene: CutCarry | None
    carry: SegmenterCarry
    mark: Mark | None
    previous: int | None


class FirstPass:
    """Finds the chunks of a film, each as soon as it is known.

    length  frames of a chunk at most; one of at least half that length ends at a cut
    warm    frames to style before a chunk that does not begin at a cut; less than ``length``
    expected  number of frames of the film, if it is known. Towards its end, chunks get shorter, so that workers do not
              wait long for the last one
    carry   what the segmenter remembers at the end of the film; complete after the iteration
    frames  number of frames that were looked at so far
    """

    def __init__(
        self,
        reader: Reader,
        segmenter: AnySegmenter | None,
        device: torch.device,
        length: int,
        warm: int,
        expected: int | None = None,
    ) -> None:
        self._reader, self._segmenter, self._device = reader, segmenter, device
        self._most, self._warm, self._expected = length, min(warm, length - 1), expected
        self.carry: SegmenterCarry = None
        self.frames = 0

    def __iter__(self) -> Iterator[Chunk]:
        scene: CutCarry | None = None
        before: Clip | None = None
        # where the chunk begins, where a later one might, and where the scenes of both do
        opened = early = place = place_then = _Here(0, None, None, None, None)
        within: _Here | None = None  # the scene in which the chunk begins
        first = number = warm = 0
        length = self._length(0)
        began, first_pts = 0.0, 0
        for k, clip in enumerate(self._reader):
            if before is None:
                began, first_pts = float(clip.pts[0] * clip.time_base), clip.pts[0]
            cut, following = is_cut(clip.rgb, scene)
            if k - first == length - self._warm:
                early, place_then = self._here(k, scene, before), place
            full = k - first == length
            if full or (cut and 2 * (k - first) >= length):
                yield self._chunk(opened, number, warm, k - first, began, first_pts, clip.pts[0], within)
                opened, within = (self._here(k, scene, before), None) if cut else (early, place_then)
                number, first, warm = number + 1, k, k - opened.before
                length = self._length(k)
            if cut:
                place = self._here(k, scene, before)
            if cut and self._segmenter is not None:
                self.carry = self._segmenter.after_cut(self.carry)
            self._remember(clip)
            scene, before = following, clip
            self.frames = k + 1
        yield self._chunk(opened, number, warm, self.frames - first, began, first_pts, None, within)

    def _length(self, first: int) -> int:
        """The most frames of a chunk that begins with frame number ``first``."""
        near = self._expected is not None and first >= (1 - END) * self._expected
        return max(self._most // SHORTER, min(self._most, 2 * self._warm)) if near else self._most

    def _here(self, k: int, scene: CutCarry | None, before: Clip | None) -> _Here:
        mark = None if before is None else Mark.of(before)
        return _Here(k, scene, self.carry, mark, None if before is None else before.pts[0])

    def _chunk(
        self,
        at: _Here,
        number: int,
        warm: int,
        frames: int,
        began: float,
        first_pts: int,
        until: int | None,
        within: _Here | None,
    ) -> Chunk:
        def start(here: _Here) -> Start:
            state = State() if here.mark is None else State(began=began, scene=here.scene, segmenter=here.carry)
            return Start(number, here.before, state, here.mark, first_pts)

        return Chunk(start(at), warm, frames, at.previous, until, None if within is None else start(within))

    def _remember(self, clip: Clip) -> None:
        if self._segmenter is None:
            return
        if self._segmenter.in_order:
            with torch.inference_mode():
                self.carry = self._segmenter.frame(clip.rgb.to(self._device), self.carry)[1]
        else:
            self.carry = self._segmenter.skip(self.carry)
