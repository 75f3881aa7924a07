"""Copy packets of sound and subtitles without re-encoding, shifted in time and trimmed with the picture."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

import av

from segnst.video.times import move

# Decoding times that go back by more than this many seconds mean that time stamps restart.
_BACK = Fraction(1, 10)


class Lane(Protocol):
    """Takes the packets of one source stream and yields packets for the output."""

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        """Yield output packets. ``offset`` (seconds in the source) becomes time 0, and the picture ends at ``end``."""

    def flush(self) -> Iterator[av.Packet[Any]]: ...


class CopySound:
    """Copies sound. Packets that overlap earlier ones are left out; where time stamps restart, packets follow on."""

    def __init__(self, source: Any, target: Any) -> None:
        self._target = target
        self._base = source.time_base or Fraction(1, 1000)
        self._last: int | None = None
        self._following = 0
        self._shift = 0

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        del end
        move(packet, -offset)
        if packet.dts is None:
            packet.dts = packet.pts
        if packet.dts is None:
            return
        packet.dts += self._shift
        if packet.pts is not None:
            packet.pts += self._shift
        if self._last is not None:
            back = self._last - packet.dts
            if back * self._base > _BACK:
                self._shift += self._following - packet.dts
                packet.pts = packet.dts = self._following
            elif back >= 0 or packet.dts + (packet.duration or 0) // 2 < self._following:
                return
        self._last = packet.dts
        self._following = packet.dts + (packet.duration or 1)
        packet.stream = self._target
        yield packet

    def flush(self) -> Iterator[av.Packet[Any]]:
        yield from ()


class CopyCover:
    """Copies a cover picture."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        del end
        move(packet, -offset)
        packet.stream = self._target
        yield packet

    def flush(self) -> Iterator[av.Packet[Any]]:
        yield from ()


class CopyText:
    """Copies subtitles, trimmed to the duration of the picture.

    fills_gaps  the source fills gaps between subtitles with empty ones (mov_text), which are left out
    """

    def __init__(self, source: Any, target: Any, *, fills_gaps: bool = False) -> None:
        self._target = target
        self._fills_gaps = fills_gaps
        self._base = source.time_base or Fraction(1, 1000)

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        if self._fills_gaps and bytes(packet) == b"\0\0":
            return  # an empty text between two subtitles; the mp4 muxer adds its own ones
        move(packet, -offset)
        if packet.pts is not None:
            if packet.pts < 0 and packet.duration:
                # The subtitle is already on the screen when the trimmed range begins.
                packet.duration += packet.pts
                packet.pts = 0
            if end is not None and packet.duration:
                packet.duration = max(1, min(packet.duration, round((end - offset) / self._base) - packet.pts))
            packet.dts = packet.pts
        packet.stream = self._target
        yield packet

    def flush(self) -> Iterator[av.Packet[Any]]:
        yield from ()
