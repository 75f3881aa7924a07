"""Re-encode sound for containers that do not support the source's codec."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import OutputContainer

from segnst.video.layouts import for_channels, is_named, name_channels, named

_AUDIO = {"webm": "libopus", "mp4": "aac", "mov": "aac", "matroska": "libopus"}
_UNSAFE_PLANES = 8
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


class AudioTranscoder:
    """Decodes one audio stream and encodes it again, trimmed to the sample."""

    def __init__(self, source: av.AudioStream, target: av.AudioStream, codec: str, rate: int, layout: str) -> None:
        self.target = target
        self.codec = codec
        self._source = source
        self._rate = rate
        self._layout = layout
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[object, ...] = ()
        self._plain = False

    @classmethod
    def make(cls, source: av.AudioStream, output: OutputContainer, container: str) -> AudioTranscoder | None:
        """Add an encoding stream to ``output``; None if the source cannot be decoded or the target cannot be added."""
        context = source.codec_context
        codec = _AUDIO.get(container)
        if context is None or codec is None:
            return None
        rate = context.sample_rate or 48_000
        if codec == "libopus" or rate not in _AAC_RATES:
            rate = 48_000
        name_channels(context)
        channels = context.layout.nb_channels
        if channels > 2:
            layout = "7.1" if channels >= 8 else "5.1" if channels >= 6 else "stereo"
        else:
            layout = (named(context.layout) or "stereo") if channels == 2 else "mono"
        try:
            target: Any = output.add_stream(
                codec, rate=rate, bit_rate=96_000 * min(av.AudioLayout(layout).nb_channels, 6)
            )
            target.codec_context.layout = layout
        except (ValueError, av.FFmpegError, LookupError):
            return None
        return cls(source, target, codec, rate, layout)

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        try:
            frames = self._source.decode(packet)
        except av.FFmpegError:
            return  # a damaged packet leaves a gap in the sound
        yield from self._encode(frames, offset, end)

    def _encode(self, frames: list[av.AudioFrame], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        for frame in frames:
            piece = _cut(frame, offset, end)
            if piece is None:
                continue
            # A broadcast can change between stereo and mono, but a resampler accepts only one format.
            shape = (piece.format.name, piece.layout.name, piece.sample_rate)
            if self._resampler is None or shape != self._shape:
                yield from self._drain()
                self._shape = shape
                # If a channel layout cannot be mixed to the target layout, the first channels are used.
                self._plain = False
                try:
                    self._make_resampler().resample(piece)
                except av.FFmpegError:
                    self._plain = True
                self._resampler = self._make_resampler()
            for ready in self._resampler.resample(_first_channels(piece, self._layout) if self._plain else piece):
                yield from self._emit(ready)

    def _make_resampler(self) -> av.AudioResampler:
        context = self.target.codec_context
        return av.AudioResampler(context.format.name, self._layout, self._rate, context.frame_size or None)

    def _drain(self) -> Iterator[av.Packet[Any]]:
        if self._resampler is not None:
            for ready in self._resampler.resample(None):
                yield from self._emit(ready)

    def _emit(self, frame: av.AudioFrame) -> Iterator[av.Packet[Any]]:
        yield from self.target.encode(frame)

    def flush(self) -> Iterator[av.Packet[Any]]:
        if self._resampler is not None:
            yield from self._drain()
            yield from self.target.encode(None)


def _cut(frame: av.AudioFrame, offset: Fraction, end: Fraction | None) -> av.AudioFrame | None:
    """The part of a frame between ``offset`` and ``end`` in seconds, with times relative to ``offset``."""
    if frame.pts is None:
        return None
    begins = frame.pts * Fraction(frame.time_base or 1) - offset
    first = max(0, round(-begins * frame.sample_rate))
    last = frame.samples
    if end is not None:
        last = min(last, round((end - offset - begins) * frame.sample_rate))
    if first >= last:
        return None
    base = Fraction(1, frame.sample_rate)
    pts = max(0, round(begins / base))
    layout = frame.layout.name
    if not is_named(frame.layout):
        layout = for_channels(frame.layout.nb_channels) or layout
    if (first, last) != (0, frame.samples) or layout != frame.layout.name:
        frame = _packed(frame)
        samples = frame.to_ndarray()
        step = 1 if frame.format.is_planar else frame.layout.nb_channels
        piece = av.AudioFrame.from_ndarray(
            samples[:, first * step : last * step].copy(), format=frame.format.name, layout=layout
        )
        piece.sample_rate = frame.sample_rate
    else:
        piece = frame
    piece.pts = pts
    piece.time_base = base
    return piece


def _packed(frame: av.AudioFrame) -> av.AudioFrame:
    """Interleave the channels of a planar frame with eight channels or more, which PyAV cannot read safely.

    PyAV 18 counts the planes of a frame up to a null pointer. FFmpeg has none after the eighth plane, so PyAV reads
    beyond the end of the array, and the process crashes.
    """
    if not frame.format.is_planar or frame.layout.nb_channels < _UNSAFE_PLANES:
        return frame
    (packed,) = av.AudioResampler(format=frame.format.packed.name).resample(frame)
    return packed


def _first_channels(frame: av.AudioFrame, layout: str) -> av.AudioFrame:
    """The first channels of a frame, as many as ``layout`` has. If there are fewer, the last one is repeated."""
    frame = _packed(frame)
    count, wanted = frame.layout.nb_channels, av.AudioLayout(layout).nb_channels
    samples = frame.to_ndarray()
    apart = samples if frame.format.is_planar else samples.reshape(-1, count).T
    chosen = apart[[min(index, count - 1) for index in range(wanted)]]
    data: Any = chosen if frame.format.is_planar else chosen.T.reshape(1, -1)
    piece = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format=frame.format.name, layout=layout)
    piece.sample_rate, piece.pts, piece.time_base = frame.sample_rate, frame.pts, frame.time_base
    return piece
