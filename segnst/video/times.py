"""When each frame is shown: the one policy for time stamps that restart, wrap, go backwards or are missing.

1. *Times are FFmpeg's best-effort times.* A frame has the presentation time stamp of its packet as
   long as those rise at least as reliably as the decoding time stamps, else the decoding time stamp
   (``guess_correct_pts`` in FFmpeg's decode.c). Where the first frames already show that the
   presentation times are unusable, the decoding times count from the first frame on.
2. *What begins anew follows what came before.* A stream whose decoding times jump back by more than
   0.1 s, or in a transport stream or the like (where FFmpeg expects such jumps) ahead by more than
   10 s, begins a new part, and the first frame of the part follows the last frame before it. Sound
   and subtitles of a part move by as much as the picture, so that they stay in step.
3. *Frames without a usable time* (none, or one that is not later than the frame before) come one
   frame's duration after each other, closer together where the next known time comes sooner. No
   frame is dropped and no two have one time.
4. *Time 0* is the beginning of the file in mp4, mov, Matroska and AVI, and the first packet of
   whatever counts from anywhere (transport streams), also where a wrap made that one negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Generic, TypeVar

import av

from segnst.video.info import CountedFacts

_BACK = 0.1
_AHEAD = 10.0
# Parts of two streams belong together if their time stamps are as near as this.
_TOGETHER = 5.0
# Frames that may wait for the next one with a usable time, and as deep as codecs reorder.
_PATIENCE = 16

Frame = TypeVar("Frame")


class Clock(Generic[Frame]):
    """Gives the frames of one stream strictly increasing times (points 1 and 3 of the policy).

    step         duration of a frame in units of the time base, for frames that have no time
    by_decoding  the presentation times are known to be unusable
    restarts     times that fall far back begin a new part (for containers whose parts are not counted)
    moved        frames whose time was made up, so far
    """

    def __init__(self, step: int, *, by_decoding: bool = False, restarts: int | None = None) -> None:
        self._step = max(1, step)
        self._by_decoding = by_decoding
        self._restarts = restarts
        self._faulty_pts = self._faulty_dts = 0
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._last: int | None = None
        self._shift = 0
        self._waiting: list[Frame] = []
        self.moved = 0
        self.joined = 0

    @property
    def prefers_decoding(self) -> bool:
        """Whether presentation times went wrong more often than those of decoding."""
        return self._faulty_pts > self._faulty_dts

    def best_effort(self, pts: int | None, dts: int | None) -> int | None:
        """FFmpeg's ``best_effort_timestamp`` of a frame with these stamps; None where it has neither."""
        if self._by_decoding:
            return dts
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        if pts is not None and (self._faulty_pts <= self._faulty_dts or dts is None):
            return pts
        return dts

    def put(self, frame: Frame, pts: int | None, dts: int | None) -> Iterator[tuple[Frame, int]]:
        """Take the next frame in the order of presentation; yield those whose time is now known."""
        time = self.best_effort(pts, dts)
        if time is not None:
            time += self._shift
            if self._last is not None and self._restarts and time < self._last - self._restarts:
                follows = self._last + self._step * (1 + len(self._waiting))
                self._shift += follows - time
                self.joined += 1
                time = follows
        if time is None or (self._last is not None and time <= self._last + len(self._waiting)):
            self._waiting.append(frame)
            if len(self._waiting) > _PATIENCE:
                yield from self.rest()
            return
        yield from self._spread(time)
        self._last = time
        yield frame, time

    def rest(self) -> Iterator[tuple[Frame, int]]:
        """The frames that still wait, one duration apart."""
        yield from self._spread(None)

    def _spread(self, until: int | None) -> Iterator[tuple[Frame, int]]:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        if not self._by_decoding:  # there, only the last frames lack a time, and this is the right one
            self.moved += len(waiting)
        if self._last is None:
            first = (until or 0) - (len(waiting) * self._step if until is not None else 0)
            times = [first + index * self._step for index in range(len(waiting))]
        else:
            room = self._step if until is None else min(self._step, (until - self._last) / (len(waiting) + 1))
            times = [self._last + max(index, round(index * room)) for index in range(1, len(waiting) + 1)]
        for frame, time in zip(waiting, times, strict=True):
            self._last = time
            yield frame, time


@dataclass
class _Lane:
    part: int = 0
    last: float | None = None
    following: float = 0.0


class Parts:
    """Tells which part of a recording each packet of picture and sound belongs to (point 2 of the policy).

    The answer depends only on the packets in the order of the file: whoever asks for all packets of
    picture and sound from the beginning gets the same answer.
    """

    def __init__(self) -> None:
        self._lanes: dict[int, _Lane] = {}
        self.current = 0

    def of(self, packet: av.Packet[Any]) -> int:
        """The part of ``packet``, from 0."""
        # Presentation times of a film go back and forth, so that they cannot show a new beginning.
        stamp = packet.dts if packet.stream.type == "video" or packet.dts is not None else packet.pts
        if packet.stream.type not in ("video", "audio") or stamp is None:
            return self._lanes[packet.stream_index].part if packet.stream_index in self._lanes else self.current
        base = float(packet.time_base)
        time, length = stamp * base, (packet.duration or 0) * base
        lane = self._lanes.setdefault(packet.stream_index, _Lane(max(0, self._nearest(time))))
        if lane.last is not None and (time < lane.last - _BACK or time > lane.following + _AHEAD):
            near = self._nearest(time)
            lane.part = near if near > lane.part else self.current + 1
        self.current = max(self.current, lane.part)
        lane.last, lane.following = time, time + length
        return lane.part

    def _nearest(self, time: float) -> int:
        """The latest part in which another stream has packets around this time."""
        near = [o.part for o in self._lanes.values() if o.last is not None and abs(o.last - time) < _TOGETHER]
        return max(near, default=-1)


def count(packets: Iterable[av.Packet[Any]], film: av.VideoStream, step: int) -> CountedFacts | None:
    """Count the frames of ``film`` among ``packets`` of picture and sound, and find the parts of the recording.

    None where there is no packet of the film with a time.
    """
    finder = Parts()
    # (part, stream): first and last end of decoding times, in units of the stream's time base
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    bases: dict[int, Fraction] = {}
    shown: dict[int, tuple[int, int]] = {}
    frames = 0
    for packet in packets:
        if not packet.size:
            continue
        part, index = finder.of(packet), packet.stream_index
        frames += index == film.index and not packet.is_discard
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            continue
        bases[index] = packet.time_base
        length = packet.duration or (step if index == film.index else 0)
        first, end = spans.get((part, index), (stamp, stamp))
        spans[part, index] = (min(first, stamp), max(end, stamp + length))
        if index == film.index and packet.pts is not None:
            first, end = shown.get(part, (packet.pts, packet.pts))
            shown[part] = (min(first, packet.pts), max(end, packet.pts + length))
    if film.index not in bases or not shown:
        return None
    offsets = _offsets(finder.current + 1, spans, bases, film.index)
    base = bases[film.index]
    begins = min(first * base + offsets[part] for part, (first, _) in shown.items())
    ends = max(end * base + offsets[part] for part, (_, end) in shown.items())
    return CountedFacts(frames, float(ends - begins), offsets)


def _offsets(
    parts: int, spans: dict[tuple[int, int], tuple[int, int]], bases: dict[int, Fraction], film: int
) -> tuple[Fraction, ...]:
    """Seconds to add to each part, so that the film goes on where it ended (else any stream that is in both)."""
    offsets = [Fraction(0)]
    for part in range(1, parts):
        offset = offsets[-1]
        for index in sorted(bases, key=lambda index: index != film):
            before = next((p for p in reversed(range(part)) if (p, index) in spans), None)
            if before is not None and (part, index) in spans:
                end = spans[before, index][1] * bases[index] + offsets[before]
                offset = end - spans[part, index][0] * bases[index]
                break
        offsets.append(offset)
    return tuple(offsets)


def move(packet: av.Packet[Any], seconds: Fraction) -> None:
    """Add ``seconds`` to the times of a packet."""
    ticks = round(seconds / packet.time_base)
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks
