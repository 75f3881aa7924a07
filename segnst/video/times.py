"""The policy for the times of frames, for time stamps that restart, overflow, go backwards or are missing.

1. *Times are FFmpeg's best-effort times.* The time of a frame is the presentation time stamp of its packet, as long as
   presentation time stamps increase at least as reliably as decoding time stamps; otherwise it is the decoding time
   stamp (``guess_correct_pts`` in FFmpeg's decode.c). If the first frames already show that presentation times are
   unusable, decoding times are used from the first frame on.
2. *Where time stamps restart, the new part follows the old one.* A new part of the recording begins where decoding
   times jump back by more than 0.1 s, or, in transport streams and similar formats (where FFmpeg expects such jumps),
   forward by more than 10 s. The first frame of the part then follows the last frame before it. Sound and subtitles
   of a part are moved by as much as the picture, so that they stay synchronized.
3. *Frames without a usable time* (no time, or one that is not later than that of the frame before) follow each other at
   the duration of a frame, or more closely if the next known time requires it. No frame is dropped, and no two frames
   have the same time.
4. *Time 0* is the beginning of the file in mp4, mov, Matroska and AVI. In formats that count from an arbitrary time
   (such as transport streams), it is the first packet, even if an overflow made its time negative.
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
# Two streams are in the same part if their time stamps differ by less than this many seconds.
_TOGETHER = 5.0
# The most frames that wait for the next usable time: as many as codecs can reorder.
_PATIENCE = 16

Frame = TypeVar("Frame")


class Clock(Generic[Frame]):
    """Assigns strictly increasing times to the frames of one stream (points 1 and 3 of the policy).

    step         duration of a frame in units of the time base, for frames without a time
    by_decoding  whether presentation times are known to be unusable
    restarts     times that go back by more than this begin a new part, in units of the time base; None if the parts
                 were already found by :func:`count`
    moved        number of frames so far whose time was estimated
    joined       number of times so far that time stamps restarted
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
        """Whether presentation times failed to increase more often than decoding times."""
        return self._faulty_pts > self._faulty_dts

    def best_effort(self, pts: int | None, dts: int | None) -> int | None:
        """FFmpeg's ``best_effort_timestamp`` for a frame with these time stamps; None if it has neither."""
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
        """Add the next frame in presentation order; yield the frames whose times are now known."""
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
        """Yield the frames that still wait, one duration apart."""
        yield from self._spread(None)

    def _spread(self, until: int | None) -> Iterator[tuple[Frame, int]]:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        if not self._by_decoding:  # with decoding times, only the last frames lack one, and the estimate is right
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
    """Finds the part of a recording to which each packet of picture and sound belongs (point 2 of the policy).

    The result depends only on the order of the packets in the file. So all users that pass the packets of picture and
    sound from the beginning get the same parts.
    """

    def __init__(self) -> None:
        self._lanes: dict[int, _Lane] = {}
        self.current = 0

    def of(self, packet: av.Packet[Any]) -> int:
        """The number of the part of ``packet``, from 0."""
        # Presentation times of video are not in order in the file, so they cannot show where a part begins.
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

    Returns None if no packet of the film has a time.
    """
    finder = Parts()
    # For each (part, stream): the first decoding time and the end of the last packet, in the stream's time base.
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
    """Seconds to add to each part, so that the film continues without a gap.

    If the film is not in both parts, another stream that is in both decides.
    """
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
