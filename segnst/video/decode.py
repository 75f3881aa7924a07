"""The decoding loop of one video stream: range, damage, order of times."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from fractions import Fraction

import av
import numpy as np

from segnst.video.color import ToRGB
from segnst.video.guard import reading
from segnst.video.probe import MediaInfo, open_input, video_stream
from segnst.video.untouched import SourceFrames

# side data of frames that no encoder here takes over
SIDE_DATA = {
    "A53_CC": "closed captions",
    "MASTERING_DISPLAY_METADATA": "HDR mastering data",
    "CONTENT_LIGHT_LEVEL": "HDR mastering data",
    "DYNAMIC_HDR_PLUS": "dynamic HDR data",
    "DOVI_METADATA": "dynamic HDR data",
    "DOVI_RPU_BUFFER": "dynamic HDR data",
}


class Decoder:
    """Decodes the frames of a range as float RGB with square pixels, not turned.

    damaged, warnings  complete when :meth:`frames` has ended
    last_duration      of the last frame delivered, where it is known better than by the frame itself
    """

    def __init__(
        self,
        info: MediaInfo,
        start: Fraction | None,
        end: Fraction | None,
        size: tuple[int, int],
        sources: SourceFrames,
    ) -> None:
        self._info = info
        self._sources = sources
        self._size = size
        self._start = None if start is None else math.ceil((start + info.origin) / info.time_base)
        self._end = None if end is None else math.ceil((end + info.origin) / info.time_base)
        self._broken = 0
        self._resized = False
        self._reordered = 0
        self._cut_short = ""
        self._missing = 0
        self.damaged = 0
        self.last_duration: int | None = None
        self.warnings: list[str] = []
        self._left_behind: set[str] = set()

    def frames(self) -> Iterator[tuple[np.ndarray, int, int]]:
        """Yield (planes [3 or 4,h,w], pts, duration); pts strictly increase.

        The decoded frames themselves go to ``sources``, before they are yielded.
        """
        info = self._info
        convert = ToRGB(info.color, info.storage_height, info.has_alpha)
        last: int | None = None
        step = max(1, round(1 / (info.fps * info.time_base)))
        try:
            for frame in self._decoded():
                pts = frame.pts
                if pts is None:
                    pts = info.first_pts if last is None else last + step
                if self._start is not None and pts < self._start:
                    continue
                if self._end is not None and pts >= self._end:
                    self.last_duration = None if last is None else pts - last
                    break
                if last is not None and pts <= last:
                    pts = last + 1
                    self._reordered += 1
                last = pts
                if (frame.width, frame.height) != (info.storage_width, info.storage_height):
                    self._resized = True
                if frame.is_corrupt:
                    self._broken += 1
                kinds = {d.type.name for d in frame.side_data}  # type: ignore[attr-defined]
                self._left_behind |= {SIDE_DATA[kind] for kind in kinds if kind in SIDE_DATA}
                self._sources.keep(pts, frame)
                yield convert(frame, *self._size), pts, int(frame.duration or 0)
            else:
                if info.variable_rate and info.end_pts is not None and last is not None:
                    # With B-frames, the durations of mp4 belong to decoding order; the end is right.
                    self.last_duration = info.end_pts - last
        finally:
            self._conclude()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """All frames from the key frame before the start on, the end included."""
        if self._start is not None:
            # Not every index is right: where the seek lands late, decode from the beginning.
            frames = self._from(self._start)
            first = next(frames, None)
            if first is not None and first.pts is not None and first.pts <= self._start:
                yield first
                yield from frames
                return
            frames.close()
            self._broken = self._missing = 0
        yield from self._from(None)

    def _from(self, seek: int | None) -> Generator[av.VideoFrame, None, None]:
        info = self._info
        with reading(info.path):
            container = open_input(info.path)
        with container:
            with reading(info.path):
                stream = video_stream(container, info.path)
                stream.thread_type = "AUTO"
                for other in container.streams:
                    if other.index != stream.index:
                        other.discard = av.stream.Discard.all
                if seek is not None:
                    try:
                        container.seek(seek, stream=stream, backward=True)
                    except av.FFmpegError:
                        return
            yield from self._frames_of(container, stream, whole=seek is None)

    def _frames_of(
        self, container: av.container.InputContainer, stream: av.VideoStream, *, whole: bool
    ) -> Iterator[av.VideoFrame]:
        packets = discarded = decoded = 0
        demuxed = container.demux(stream)
        while True:
            try:
                packet = next(demuxed, None)
            except (av.FFmpegError, OSError) as error:
                # The rest of the file cannot be read, but the decoder still holds frames.
                self._cut_short = getattr(error, "strerror", None) or str(error)
                packet = None
            try:
                if packet is None:
                    frames = stream.codec_context.decode(None) if self._cut_short else []
                else:
                    packets += packet.size > 0
                    discarded += packet.size > 0 and packet.is_discard
                    if packet.is_corrupt:
                        self._broken += 1
                    frames = packet.decode()
            except av.error.EOFError:
                frames = []
            except (av.error.MemoryError, MemoryError):
                raise
            except av.FFmpegError:
                self._broken += 1
                frames = []
            decoded += len(frames)
            yield from frames
            if packet is None:
                break
        if whole and "mp4" in container.format.name:
            # The index of mp4 and mov says how many samples there should have been.
            self._missing = max(0, len(stream.index_entries) - packets)
        if self._broken or self._missing:
            # Frames that lean on lost ones are lost without an error of their own.
            lost = packets + self._missing - discarded - decoded
            self._missing = max(self._missing, lost - self._broken)

    def _conclude(self) -> None:
        name = self._info.path.name
        self.damaged = self._broken + self._missing
        if self.damaged:
            what = "frame is" if self.damaged == 1 else "frames are"
            self.warnings.append(f"{name}: {self.damaged} {what} damaged or missing; what decodes was kept.")
        elif self._cut_short:
            self.warnings.append(f"{name} ends early ({self._cut_short}); what decodes was kept.")
        if self._resized:
            self.warnings.append(f"{name} changes its size on the way; all frames were brought to the first size.")
        for what in sorted(self._left_behind):
            self.warnings.append(f"{name} has {what}, which cannot be kept.")
        if self._reordered:
            self.warnings.append(f"{name}: {self._reordered} frames had no time of their own and were moved.")
