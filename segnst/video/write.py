"""Writing: a video file, a still or a folder, complete or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import torch

from segnst import temporaries
from segnst.errors import OutputError
from segnst.files import PICTURE_SUFFIXES
from segnst.types import Clip
from segnst.video import pipes, stdout
from segnst.video.guard import LIBRARY_ERRORS, writing
from segnst.video.paths import (
    STREAM_FORMATS,
    VIDEO_FORMATS,
    check_folder,
    check_format,
    check_output,
    is_folder_output,
    is_stdout,
)
from segnst.video.read import Reader
from segnst.video.threads import Consumer

__all__ = ["Writer", "check_output", "open_writer"]

# Frames that may wait for the encoder.
_BEHIND = 3


class Sink(Protocol):
    """What takes the frames: one file format each. Used from one thread at a time."""

    warnings: list[str]

    def write(self, rgb: torch.Tensor, pts: int, duration: int) -> None:
        """``rgb``: [3 or 4,H,W] float32 on the CPU, upright; times in the reader's time base, as in the source."""

    def finish(self) -> None:
        """Everything was written: complete the file."""

    def abort(self) -> None:
        """Let go of the file; what was written is deleted afterwards. Does not raise."""


# One picture on its way to the encoder: planes and pts.
_Item = tuple[torch.Tensor, int]


class Writer:
    """Takes the frames of a run; a context manager.

    Leaving the ``with`` normally completes the output and renames it into place; leaving it by an
    exception (Ctrl-C too) leaves nothing behind. ``warnings`` and ``frames_written`` are complete
    afterwards.
    """

    def __init__(
        self, path: Path, temporary: Path, sink: Sink, reader: Reader, threaded: bool, overwrite: bool
    ) -> None:
        self.path = path
        self.frames_written = 0
        self.warnings: list[str] = []
        self._temporary = temporary
        self._sink = sink
        self._overwrite = overwrite
        self._reader = reader
        self._size = (reader.width, reader.height)
        self._time_base = reader.info.time_base
        self._waiting: _Item | None = None
        self._step = max(1, round(1 / (reader.info.fps * self._time_base)))
        self._worker: Consumer[_Item] | None = Consumer(self._take, _BEHIND) if threaded else None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.abort()
        else:
            self.close()

    def write(self, clip: Clip) -> None:
        """Append the frames of ``clip``: rgb [T,3,H,W] in [0,1], on any device, of the reader's size.

        Times must lie after those already written. Raises OutputError or ResourceError, also for
        frames handed over earlier.
        """
        if self._closed:
            raise ValueError("the writer is closed")
        if (clip.rgb.shape[3], clip.rgb.shape[2]) != self._size:
            have = f"{clip.rgb.shape[3]}x{clip.rgb.shape[2]}"
            raise ValueError(f"frames must be {self._size[0]}x{self._size[1]} as the reader's, got {have}")
        rgb = clip.rgb if clip.alpha is None else torch.cat([clip.rgb, clip.alpha.to(clip.rgb)], 1)
        rgb = rgb.detach().to("cpu", torch.float32)
        for frame, pts in zip(rgb, clip.pts, strict=True):
            if clip.time_base != self._time_base:
                pts = round(pts * clip.time_base / self._time_base)
            if self._worker is not None:
                self._worker.put((frame, pts))
            else:
                self._take((frame, pts))

    def _take(self, item: _Item) -> None:
        # Each frame waits for the next one, whose time says how long it lasts.
        before, self._waiting = self._waiting, item
        if before is not None:
            if item[1] <= before[1]:
                raise ValueError(f"frame times must increase, got {item[1]} after {before[1]}")
            self._emit(before, item[1] - before[1])

    def _emit(self, item: _Item, duration: int) -> None:
        with writing(self.path):
            self._sink.write(item[0], item[1], duration)
        self.frames_written += 1

    def close(self) -> None:
        """Write what is pending, complete the file and move it to its name."""
        if self._closed:
            return
        try:
            if self._worker is not None:
                self._worker.finish()
            self._emit_last()
            with writing(self.path):
                self._sink.finish()
                self._into_place()
        except BaseException:
            self.abort()
            raise
        self._closed = True
        self.warnings = list(dict.fromkeys(self._sink.warnings))

    def _emit_last(self) -> None:
        if self._waiting is None:
            raise OutputError(f"No frame was written, so {self.path} was not made.")
        self._emit(self._waiting, self._last_duration(self._waiting[1]))

    def _last_duration(self, pts: int) -> int:
        """How long the last frame is shown, in the reader's time base; ``pts`` is its time."""
        return self._reader.duration_of(pts) or self._step

    def abort(self) -> None:
        """Stop and delete what was written. Never raises; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._worker is not None:
            self._worker.abort()
        self._waiting = None
        with suppress(*LIBRARY_ERRORS):
            self._sink.abort()
        self.warnings = list(dict.fromkeys(self._sink.warnings))
        self._discard()

    def _discard(self) -> None:
        temporaries.remove(self._temporary)

    def _into_place(self) -> None:
        if self.path.is_symlink():
            points = self.path.readlink()
            self._sink.warnings.append(f"{self.path} was a link; it was replaced, and {points} stays as it was.")
        if self._temporary.is_dir():
            # Something may have appeared in the folder since it was looked at.
            check_folder(self.path, {p.name for p in self._temporary.iterdir()}, overwrite=self._overwrite)
            temporaries.put_folder(self._temporary, self.path)
        else:
            temporaries.put(self._temporary, self.path, replace=self._overwrite)


class StandardWriter(Writer):
    """Writes to standard output, where nothing can be renamed or taken back."""

    def abort(self) -> None:
        if not self._closed:
            stdout.output().stop()
        super().abort()

    def _discard(self) -> None:
        pass

    def _into_place(self) -> None:
        pass


def open_writer(
    output: str | os.PathLike[str],
    reader: Reader,
    *,
    codec: str | None = None,
    crf: float | None = None,
    preset: str | None = None,
    audio: bool = True,
    bit_rate: int | None = None,
    recipe: str | None = None,
    alone: bool = False,
    overwrite: bool = False,
    threaded: bool = True,
    format: str | None = None,
) -> Writer:
    """Open ``output`` for the styled frames of ``reader``; use the result in a ``with``.

    The suffix says what is made: mp4, m4v, mov, mkv, webm, gif, y4m, a still, or (none) a folder of PNGs. ``-`` is
    standard output, inside of :func:`segnst.video.stdout.standard_output`.
    format    for ``-`` only: one of ``STREAM_FORMATS``, by default y4m
    codec     h264, hevc, vp8, vp9, av1, ffv1, prores, mpeg4 or the name of an FFmpeg encoder
    crf       quality, lower is better; preset  ultrafast … placebo, or the encoder's own number
    audio     keep the sound
    bit_rate  bits per second of the picture to aim at instead of a constant quality
    recipe    text that travels with the output (``segnst.video.inscription``), or None
    alone     the picture only, without any other stream of the source
    threaded  encode in a thread

    Raises OutputError (see :func:`check_output`; also encoders that refuse the picture), UsageError
    (unknown codec or preset, crf out of range).
    """
    from segnst.video.encode import VideoSink
    from segnst.video.sinks import FolderSink, GifSink, StillSink

    info = reader.info
    path = check_output(output, info.path, overwrite=overwrite, stdout=True)
    check_format(format, path)
    if is_stdout(path):
        with writing(path):
            muxer = STREAM_FORMATS[format or "y4m"]
            stream = VideoSink(stdout.output(), muxer, reader, codec=codec, crf=crf, preset=preset, audio=audio)
        _last_pass(reader)
        return StandardWriter(path, path, stream, reader, threaded=threaded, overwrite=overwrite)
    with writing(path):
        temporary = temporaries.create(path, folder=is_folder_output(output))
    suffix = path.suffix.lower()
    sink: Sink
    try:
        with writing(path):
            if is_folder_output(output):
                sink = FolderSink(temporary, reader, recipe=recipe)
            elif suffix in PICTURE_SUFFIXES:
                if info.kind != "image" and reader.frames_expected not in (None, 1):
                    raise OutputError(
                        f"{path} holds one picture, but {info.path} has {reader.frames_expected} frames; "
                        "name a video or a folder instead."
                    )
                sink = StillSink(temporary, path, reader, recipe)
            elif suffix == ".gif":
                sink = GifSink(temporary, reader, codec)
            else:
                sink = VideoSink(
                    temporary,
                    VIDEO_FORMATS[suffix],
                    reader,
                    codec=codec,
                    crf=crf,
                    preset=preset,
                    audio=audio,
                    bit_rate=bit_rate,
                    recipe=recipe,
                    alone=alone,
                )
    except BaseException:
        temporaries.remove(temporary)
        raise
    _last_pass(reader)
    return Writer(path, temporary, sink, reader, threaded=threaded, overwrite=overwrite)


def _last_pass(reader: Reader) -> None:
    """The frames are read once more only: a pipe need not keep what was read."""
    if reader.info.kind == "video":
        pipes.release(reader.info.path)
