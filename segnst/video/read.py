"""Read the frames of a video, a still or a folder one by one, upright, with square pixels and with their times."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
import torch

from segnst.errors import InputError, UsageError
from segnst.types import Clip
from segnst.video import animation, color, images, pipes
from segnst.video.decode import Decoder
from segnst.video.geometry import Geometry, plan_geometry
from segnst.video.info import MediaInfo
from segnst.video.probe import probe
from segnst.video.threads import Producer
from segnst.video.untouched import SourceFrames

# The number of durations to remember: more than the frames that can be between reader and writer.
_MEMORY = 4096
# Frames decoded ahead of the caller.
_AHEAD = 3

# A decoded frame: planes [3 or 4,h,w] float32, pts, duration (0 if unknown)
RawFrame = tuple[np.ndarray, int, int]


class Reader:
    """Iterates over the frames of an input; a context manager.

    info             the result of :func:`segnst.video.probe.probe`
    width, height    size of the frames delivered
    frames_expected  number of frames in the range (an estimate for videos), or None
    start, end       the requested range in seconds as exact fractions, or None
    warnings         texts; complete after the iteration
    frames_damaged   number of damaged frames; complete after the iteration
    sources          the most recent decoded frames, kept for a writer that asks for them

    Each item is a :class:`Clip` of one frame: rgb float32 [1,3,H,W] in [0,1], contiguous, on the CPU. Its pts strictly
    increase and are those of the source in ``info.time_base`` (not shifted by ``start``).
    Raises InputError during the iteration if the source turns out to be unusable.
    """

    def __init__(
        self,
        info: MediaInfo,
        start: Fraction | None,
        end: Fraction | None,
        geometry: Geometry,
        threaded: bool,
        deinterlace: bool = False,
    ) -> None:
        self.info = info
        self.start = start
        self.end = end
        self.geometry = geometry
        self.width, self.height = geometry.upright
        self.frames_expected = _expected(info, start, end)
        self.warnings: list[str] = list(info.warnings)
        self.frames_damaged = 0
        self.sources = SourceFrames()
        self._threaded = threaded
        self._deinterlace = deinterlace
        self._durations: OrderedDict[int, int] = OrderedDict()
        self._last_pts: int | None = None
        self._last_duration: int | None = None
        self._running: Producer[Clip] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        pipes.end(self.info.path)

    def close(self) -> None:
        """Stop decoding. Safe to call twice."""
        if self._running is not None:
            with pipes.woken(self.info.path):
                self._running.close()
            self._running = None

    def __iter__(self) -> Iterator[Clip]:
        return self._run(None)

    def since(self, pts: int) -> Iterator[Clip]:
        """The frames from the time ``pts`` on. Videos are searched for it, so what is before is not decoded.

        Where a file has a wrong index or joined parts, times after a search can differ from those without one; so
        compare the first frame with what is expected.
        """
        return self._run(pts)

    def _run(self, since: int | None) -> Iterator[Clip]:
        self.close()
        self.warnings = list(self.info.warnings)
        self.frames_damaged = 0
        self._durations.clear()
        self._last_duration = None
        self.sources.clear()
        if not self._threaded:
            yield from self._clips(since)
            return
        self._running = Producer(self._clips(since), depth=_AHEAD)
        running = self._running
        try:
            yield from running
        finally:
            with pipes.woken(self.info.path):
                running.close()

    def duration_of(self, pts: int) -> int | None:
        """Duration of the delivered frame at ``pts``, in units of ``info.time_base``; None if unknown."""
        if pts == self._last_pts and self._last_duration is not None and self._last_duration > 0:
            return self._last_duration
        return self._durations.get(pts) or None

    def _clips(self, since: int | None) -> Iterator[Clip]:
        info = self.info
        if info.kind == "video":
            source = self._video(since)
        else:
            source = self._animation() if info.kind == "animation" else self._stills()
        count = 0
        for planes, pts, duration in source:
            if since is not None and pts < since:
                continue
            self._durations[pts] = duration
            self._last_pts = pts
            if len(self._durations) > _MEMORY:
                self._durations.popitem(last=False)
            picture = torch.from_numpy(planes)[None]
            if info.kind == "video":
                picture = info.orientation.upright(picture)
            alpha = picture[:, 3:].contiguous() if picture.shape[1] == 4 else None
            count += 1
            yield Clip(picture[:, :3].contiguous(), (pts,), info.time_base, alpha)
        if not count:
            raise self._nothing()

    def _nothing(self) -> InputError:
        if self.start is not None or self.end is not None:
            return InputError(f"{self.info.path} has no frame {_range_words(self.start, self.end)}.")
        return InputError(f"Not one frame of {self.info.path} can be decoded; the file is damaged.")

    def _video(self, since: int | None) -> Iterator[RawFrame]:
        start = self.start if since is None else since * self.info.time_base - self.info.origin
        decoder = Decoder(self.info, start, self.end, self.geometry.square, self.sources, self._deinterlace)
        try:
            yield from decoder.frames()
        finally:
            self.frames_damaged = decoder.damaged
            if not decoder.damaged:
                self._last_duration = decoder.last_duration
            self.warnings += decoder.warnings

    def _animation(self) -> Iterator[RawFrame]:
        info, pts = self.info, 0
        lasting = animation.durations(info.path)
        for pixels, duration in zip(animation.pictures(info.path, len(lasting)), lasting, strict=False):
            time = pts * info.time_base
            if (self.start is None or time >= self.start) and (self.end is None or time < self.end):
                planes = images.Picture(pixels, info.codec).planes()
                if self.geometry.square != (info.storage_width, info.storage_height):
                    planes = color.resize(planes, self.geometry.square)
                yield planes, pts, duration
            pts += duration

    def _stills(self) -> Iterator[RawFrame]:
        info = self.info
        storage = (info.storage_width, info.storage_height)
        for pts, path in enumerate(info.files):
            time = pts * info.time_base
            if (self.start is not None and time < self.start) or (self.end is not None and time >= self.end):
                continue
            picture = images.load(path)
            height, width = picture.pixels.shape[:2]
            if (width, height) != storage:
                raise images.mixed_sizes(info.files[0], storage, path, (width, height))
            planes = picture.planes()
            if self.geometry.square != storage:
                planes = color.resize(planes, self.geometry.square)
            yield planes, pts, 1


def open_reader(
    path: str | Path,
    *,
    start: float | None = None,
    end: float | None = None,
    max_size: int | None = None,
    fps: float | Fraction | None = None,
    deinterlace: bool = False,
    threaded: bool = True,
    pipe: bool = False,
) -> Reader:
    """Open a video, a still image or a folder of frames for reading.

    start, end  seconds: frames with start <= time < end are delivered. Time 0 is the beginning of the file, which can
                be before its first frame.
    max_size    limit on the longer side of the delivered frames in pixels; smaller frames are not enlarged
    fps         frames per second of a folder (default 25)
    deinterlace make full frames of interlaced ones; does nothing to stills and folders
    threaded    decode in a separate thread, a few frames ahead
    pipe        also take a named pipe or ``-`` (standard input)

    Raises InputError if the file or the range cannot be used, UsageError for invalid values.
    """
    first = _seconds(start, "--start")
    last = _seconds(end, "--end")
    if first is not None and last is not None and first >= last:
        raise InputError(f"The start ({float(first):g} s) must be before the end ({float(last):g} s).")
    if max_size is not None and max_size < 16:
        raise UsageError(f"--max-size must be at least 16 pixels, not {max_size}.")
    info = probe(path, fps=fps, pipe=pipe)
    try:
        return Reader(info, first, last, _geometry(info, first, max_size), threaded, deinterlace)
    except BaseException:
        pipes.end(info.path)
        raise


def _geometry(info: MediaInfo, first: Fraction | None, max_size: int | None) -> Geometry:
    if info.duration is not None and first is not None:
        length = Fraction(info.duration) + (info.first_pts * info.time_base - info.origin)
        if first >= length:
            raise InputError(
                f"{info.path} lasts {float(length):.3f} s, so there is nothing from {float(first):g} s on."
            )
    return plan_geometry(
        (info.storage_width, info.storage_height),
        info.sample_aspect_ratio,
        info.orientation,
        max_size,
        even=info.kind in ("video", "animation"),
    )


def _seconds(value: float | None, name: str) -> Fraction | None:
    if value is None:
        return None
    try:
        # repr gives the shortest decimal, so that 0.1 becomes exactly one tenth and not the nearest float.
        seconds = value if isinstance(value, Fraction) else Fraction(repr(value))
    except ValueError:
        raise UsageError(f"{name} must be a number of seconds, not {value!r}.") from None
    if seconds < 0:
        raise InputError(f"{name} must not be negative, but is {float(seconds):g} s.")
    return seconds


def _expected(info: MediaInfo, start: Fraction | None, end: Fraction | None) -> int | None:
    if info.frames is None or (start is None and end is None):
        return info.frames
    offset = info.first_pts * info.time_base - info.origin
    first = max(start if start is not None else Fraction(0), offset)
    last = offset + info.frames / info.fps
    if end is not None:
        last = min(last, end)
    return min(info.frames, max(1, -int(-(last - first) * info.fps // 1)))


def _range_words(start: Fraction | None, end: Fraction | None) -> str:
    if start is None:
        return f"before {float(end or 0):g} s"
    if end is None:
        return f"from {float(start):g} s on"
    return f"between {float(start):g} s and {float(end):g} s"
