"""Packets of sound and subtitles that are copied as they are, moved in time and cut with the picture."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

import av

from segnst.video.times import move

# Seconds by which decoding times may fall back without beginning anew.
_BACK = Fraction(1, 10)


class Lane(Protocol):
    """Takes the packets of one source stream and yields packets for the output."""

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        """``offset`` seconds of the source become 0; ``end`` is where the picture ends, in the source."""

    def flush(self) -> Iterator[av.Packet[Any]]: ...


class CopySound:
    """Sound as it is. What overlaps with what came before is left out, and what begins anew follows it."""

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
    """A cover picture."""

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
    """Subtitles as they are, from when they are shown to when they end or the picture does."""

    def __init__(self, source: Any, target: Any, *, fills_gaps: bool = False) -> None:
        self._target = target
        self._fills_gaps = fills_gaps
        self._base = source.time_base or Fraction(1, 1000)

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        if self._fills_gaps and bytes(packet) == b"\0\0":
            return  # an empty text between two subtitles: mp4's muxer makes its own, and would double it
        move(packet, -offset)
        if packet.pts is not None:
            if packet.pts < 0 and packet.duration:
                # A subtitle that is on the screen already when the cut begins.
                packet.duration += packet.pts
                packet.pts = 0
            if end is not None and packet.duration:
                packet.duration = max(1, min(packet.duration, round((end - offset) / self._base) - packet.pts))
            packet.dts = packet.pts
        packet.stream = self._target
        yield packet

    def flush(self) -> Iterator[av.Packet[Any]]:
        yield from ()
