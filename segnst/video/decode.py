"""Decode one video stream: select the range, count damaged frames, keep times in order."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from segnst.video import pipes
from segnst.video.color import ToRGB
from segnst.video.deinterlace import deinterlaced
from segnst.video.guard import reading
from segnst.video.info import MediaInfo
from segnst.video.source import FrameDecoder, film_of, open_input, timed_streams
from segnst.video.times import Clock, Parts, move
from segnst.video.untouched import SourceFrames

# Kinds of frame side data that cannot be written to the output, and their names in warnings.
SIDE_DATA = {
    "A53_CC": "closed captions",
    "MASTERING_DISPLAY_METADATA": "HDR mastering data",
    "CONTENT_LIGHT_LEVEL": "HDR mastering data",
    "DYNAMIC_HDR_PLUS": "dynamic HDR data",
    "DOVI_METADATA": "dynamic HDR data",
    "DOVI_RPU_BUFFER": "dynamic HDR data",
    "DYNAMIC_HDR_VIVID": "dynamic HDR data",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment data",
    "STEREO3D": "a stereoscopic (3D) mark, which you can set again in the result",
    "SPHERICAL": "a spherical (360 degree) mark, which you can set again in the result (for example with "
    "Spatial Media Metadata Injector)",
    "AFD": "an active format description (AFD)",
    "ICC_PROFILE": "a color profile",
    "S12M_TIMECODE": "a time code in its frames",
}


# Codecs reorder frames by less than this. Times that jump back further mean that time stamps restart.
_DEEPEST = 17
# The most packets to keep while waiting for the next key frame; after that, decoding begins anyway.
_LONGEST_GROUP = 1000


def left_behind(frame: av.VideoFrame) -> set[str]:
    """Descriptions of the side data of a frame that cannot be kept."""
    kinds = {data.type.name for data in frame.side_data}  # type: ignore[attr-defined]
    return {SIDE_DATA[kind] for kind in kinds if kind in SIDE_DATA}


class Decoder:
    """Decodes the frames of a range as float RGB with square pixels, in the stored orientation.

    damaged, warnings  number of damaged frames, and texts; complete when :meth:`frames` has ended
    last_duration      duration of the last frame delivered, if known more reliably than from the frame itself
    """

    def __init__(
        self,
        info: MediaInfo,
        start: Fraction | None,
        end: Fraction | None,
        size: tuple[int, int],
        sources: SourceFrames,
        deinterlace: bool = False,
    ) -> None:
        self._info = info
        self._deinterlace = deinterlace
        self._sources = sources
        self._size = size
        self._start = None if start is None else math.ceil((start + info.origin) / info.time_base)
        self._end = None if end is None else math.ceil((end + info.origin) / info.time_base)
        self._broken = 0
        self._resized = False
        self._moved = self._joined = 0
        self._cut_short = ""
        self._missing = 0
        self.damaged = 0
        self.last_duration: int | None = None
        self.warnings: list[str] = []
        self._left_behind: set[str] = set()
        self._interlaced = False

    def frames(self) -> Iterator[tuple[np.ndarray, int, int]]:
        """Yield (planes float32 [3 or 4,h,w] in [0,1], pts, duration); pts strictly increase.

        Each decoded frame is given to ``sources`` before its planes are yielded. Raises InputError.
        """
        info = self._info
        convert = ToRGB(info.color, info.storage_height, info.has_alpha)
        last: int | None = None
        timed = self._timed()
        full = deinterlaced(timed) if self._deinterlace else ((frame, frame, pts) for frame, pts in timed)
        try:
            for picture, frame, pts in full:
                if self._start is not None and pts < self._start:
                    continue
                if self._end is not None and pts >= self._end:
                    self.last_duration = None if last is None else pts - last
                    break
                last = pts
                if (frame.width, frame.height) != (info.storage_width, info.storage_height):
                    self._resized = True
                if frame.is_corrupt:
                    self._broken += 1
                self._left_behind |= left_behind(frame)
                self._interlaced |= frame.interlaced_frame
                self._sources.keep(pts, picture)
                yield convert(picture, *self._size), pts, int(frame.duration or 0)
            else:
                if info.variable_rate and info.header.end_pts is not None and last is not None:
                    # With B-frames, frame durations in mp4 are in decoding order, but the end of the stream is right.
                    self.last_duration = info.header.end_pts - last
        finally:
            self._conclude()

    def _timed(self) -> Iterator[tuple[av.VideoFrame, int]]:
        """Yield all decoded frames with their times."""
        info = self._info
        step = max(1, round(1 / (info.fps * info.time_base)))
        # If the parts of the recording are known, the times of packets are continuous already.
        restarts = None if info.counted is not None else max(_DEEPEST * step, round(1 / info.time_base))
        clock: Clock[av.VideoFrame] = Clock(step, by_decoding=info.times_by_decoding, restarts=restarts)
        try:
            for frame in self._decoded():
                yield from clock.put(frame, frame.pts, frame.dts)
            yield from clock.rest()
        finally:
            self._moved, self._joined = clock.moved, clock.joined

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Yield all frames from the key frame before the start to the end of the file."""
        if self._start is not None and not self._in_parts and pipes.tape_of(self._info.path) is None:
            # Some files have a wrong index. If seeking ends up after the start, decode from the beginning.
            frames = self._from(self._start)
            first = next(frames, None)
            stamp = None if first is None else first.dts if self._info.times_by_decoding else first.pts
            if first is not None and stamp is not None and stamp <= self._start:
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
                stream = film_of(container, info)
                needed = {each.index for each in (timed_streams(container, stream) if self._in_parts else [stream])}
                for other in container.streams:
                    if other.index not in needed:
                        other.discard = av.stream.Discard.all
                if seek is not None:
                    try:
                        container.seek(seek, stream=stream, backward=True)
                    except av.FFmpegError:
                        return
            yield from self._frames_of(container, stream, whole=seek is None)

    @property
    def _in_parts(self) -> bool:
        return self._info.counted is not None and len(self._info.counted.parts) > 1

    def _packets(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet[Any]]:
        """The packets of the film. If the recording has several parts, their times are made continuous.

        In that case, seeking by the times in the file could end in any part. So the packets before the start are read
        instead, but not decoded.
        """
        counted = self._info.counted
        if counted is None or not self._in_parts:
            yield from container.demux(stream)
            return
        finder = Parts()
        held: list[av.Packet[Any]] | None = None if self._start is None else []
        for packet in container.demux(timed_streams(container, stream)):
            part = finder.of(packet) if packet.size else 0
            if packet.stream_index != stream.index:
                continue
            move(packet, counted.parts[min(part, len(counted.parts) - 1)])
            if held is None or self._start is None:
                yield packet
                continue
            if packet.is_keyframe and packet.pts is not None and packet.pts <= self._start:
                held.clear()
            held.append(packet)
            stamp = packet.dts if packet.dts is not None else packet.pts
            if not packet.size or len(held) > _LONGEST_GROUP or (stamp is not None and stamp >= self._start):
                yield from held
                held = None

    def _frames_of(
        self, container: av.container.InputContainer, stream: av.VideoStream, *, whole: bool
    ) -> Iterator[av.VideoFrame]:
        packets = discarded = decoded = 0
        decode = FrameDecoder(stream, self._info.decoder)
        demuxed = self._packets(container, stream)
        while True:
            try:
                packet = next(demuxed, None)
            except (av.FFmpegError, OSError) as error:
                # The rest of the file is unreadable, but the decoder may still return frames.
                self._cut_short = getattr(error, "strerror", None) or str(error)
                packet = None
            try:
                if packet is None:
                    frames = decode.rest() if self._cut_short else []
                else:
                    packets += packet.size > 0
                    discarded += packet.size > 0 and packet.is_discard
                    if packet.is_corrupt:
                        self._broken += 1
                    frames = decode(packet)
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
            # The index of mp4 and mov tells how many packets the file should have.
            self._missing = max(0, len(stream.index_entries) - packets)
        counted = self._info.counted
        if counted is not None and self._broken < len(counted.parts) and decoded == packets - discarded:
            self._broken = 0  # packets at the start of a part only seem broken: all of them were decoded
        if self._broken or self._missing:
            # Frames that depend on lost frames are lost too, without an error.
            lost = packets + self._missing - discarded - decoded
            self._missing = max(self._missing, lost - self._broken)

    def _conclude(self) -> None:
        name = self._info.path.name
        self.damaged = self._broken + self._missing
        if self.damaged:
            what = "frame is" if self.damaged == 1 else "frames are"
            self.warnings.append(
                f"{name}: {self.damaged} {what} damaged or missing; all frames that could be decoded were kept."
            )
        elif self._cut_short:
            self.warnings.append(f"{name} ends early ({self._cut_short}); the frames before that were kept.")
        if self._resized:
            self.warnings.append(
                f"The size of {name} changes during the video; all frames were resized to the size of the first."
            )
        if self._interlaced and not self._deinterlace:
            self.warnings.append(
                f"{name} is interlaced; its two fields are styled as one picture, and the result is marked as "
                "progressive. Say --deinterlace to avoid combed edges."
            )
        for what in sorted(self._left_behind):
            self.warnings.append(f"{name} has {what}, which cannot be kept.")
        if self._moved:
            self.warnings.append(f"{name}: {self._moved} frames had no usable time stamp; their times were estimated.")
        if self._joined:
            self.warnings.append(
                f"The time stamps of {name} restart, as in joined recordings ({self._joined + 1} parts); "
                "each part was moved to follow the one before it."
            )
