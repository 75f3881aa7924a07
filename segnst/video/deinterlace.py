"""Make full frames of interlaced ones: FFmpeg's filter bwdif, one frame out for each frame in, with its time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.filter import Graph

# A decoded frame, what its full frame is made of, and its time
Timed = tuple[av.VideoFrame, av.VideoFrame, int]


class _Bwdif:
    """The filter for frames of one size and pixel format. It answers one frame late, because it looks at the next."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self.kind = _kind(frame)
        self._graph = Graph()
        # The filter only needs times that increase. The real ones stay outside, where none of them is rounded.
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
        # Frames that are not marked are taken for interlaced as well: many files lack the mark, and the user asked.
        bwdif = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=all")
        sink = self._graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        self._graph.configure()
        self._count = 0

    def put(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        if frame is not None:
            pts, base = frame.pts, frame.time_base
            frame.pts, frame.time_base = self._count, Fraction(1, 25)
            self._count += 1
            self._graph.push(frame)
            frame.pts, frame.time_base = pts, base
        else:
            self._graph.push(None)
        while True:
            try:
                full: Any = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield full


def _kind(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def deinterlaced(frames: Iterator[tuple[av.VideoFrame, int]]) -> Iterator[Timed]:
    """Yield (full frame, the frame that it comes from, pts) for each (frame, pts), in the same order."""
    waiting: deque[tuple[av.VideoFrame, int]] = deque()
    graph: _Bwdif | None = None
    for frame, pts in frames:
        if graph is None or graph.kind != _kind(frame):
            if graph is not None:
                yield from ((full, *waiting.popleft()) for full in graph.put(None))
            graph = _Bwdif(frame)
        waiting.append((frame, pts))
        yield from ((full, *waiting.popleft()) for full in graph.put(frame))
    if graph is not None:
        yield from ((full, *waiting.popleft()) for full in graph.put(None))
