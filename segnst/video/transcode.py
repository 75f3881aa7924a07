"""Sound and subtitles for containers that do not take the source's codec."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Stream

_AUDIO = {"webm": "libopus", "mp4": "aac", "mov": "aac", "matroska": "libopus"}
_SUBTITLES = {"webm": "webvtt", "mp4": "mov_text", "mov": "mov_text", "matroska": "srt"}
_TEXT = {"mov_text", "srt", "subrip", "webvtt", "ass", "ssa", "text"}
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


class AudioTranscoder:
    """Decodes one audio stream and encodes it anew, cut to the sample."""

    def __init__(self, source: av.AudioStream, target: av.AudioStream, codec: str, rate: int, layout: str) -> None:
        self.target = target
        self.codec = codec
        self._source = source
        self._rate = rate
        self._layout = layout
        self._resampler: av.AudioResampler | None = None
        self._next_pts: int | None = None

    @classmethod
    def make(cls, source: av.AudioStream, output: OutputContainer, container: str) -> AudioTranscoder | None:
        """Add an encoding stream to ``output``; None where the source cannot be decoded."""
        context = source.codec_context
        codec = _AUDIO.get(container)
        if context is None or codec is None:
            return None
        rate = context.sample_rate or 48_000
        if codec == "libopus" or rate not in _AAC_RATES:
            rate = 48_000
        channels = context.layout.nb_channels
        layout = context.layout.name if channels <= 2 else {6: "5.1", 8: "7.1"}.get(channels, "stereo")
        if channels == 1:
            layout = "mono"
        try:
            target: Any = output.add_stream(codec, rate=rate, bit_rate=96_000 * max(1, min(channels, 6)))
            target.codec_context.layout = layout
        except (ValueError, av.FFmpegError, LookupError):
            return None
        return cls(source, target, codec, rate, layout)

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        try:
            frames = self._source.decode(packet)
        except av.FFmpegError:
            return  # one damaged packet: a gap in the sound
        yield from self._encode(frames, offset, end)

    def _encode(self, frames: list[av.AudioFrame], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        if self._resampler is None:
            context = self.target.codec_context
            self._resampler = av.AudioResampler(
                context.format.name, self._layout, self._rate, context.frame_size or None
            )
        for frame in frames:
            piece = _cut(frame, offset, end)
            if piece is None:
                continue
            for ready in self._resampler.resample(piece):
                yield from self._emit(ready)

    def _emit(self, frame: av.AudioFrame) -> Iterator[av.Packet[Any]]:
        yield from self.target.encode(frame)

    def flush(self) -> Iterator[av.Packet[Any]]:
        if self._resampler is not None:
            for ready in self._resampler.resample(None):
                yield from self._emit(ready)
            yield from self.target.encode(None)


def _cut(frame: av.AudioFrame, offset: Fraction, end: Fraction | None) -> av.AudioFrame | None:
    """The part of a frame between ``offset`` and ``end`` (seconds), timed from ``offset`` on."""
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
    if (first, last) != (0, frame.samples):
        samples = frame.to_ndarray()
        step = 1 if frame.format.is_planar else frame.layout.nb_channels
        piece = av.AudioFrame.from_ndarray(
            samples[:, first * step : last * step].copy(), format=frame.format.name, layout=frame.layout.name
        )
        piece.sample_rate = frame.sample_rate
    else:
        piece = frame
    piece.pts = pts
    piece.time_base = base
    return piece


class SubtitleTranscoder:
    """Decodes text subtitles and writes them in another text format."""

    def __init__(self, source: Any, target: Any, codec: str) -> None:
        self.target = target
        self.codec = codec
        self._source = source

    @classmethod
    def make(cls, source: Stream, output: OutputContainer, container: str) -> SubtitleTranscoder | None:
        """Add an encoding stream to ``output``; None for pictures and unknown kinds."""
        context: Any = source.codec_context
        codec = _SUBTITLES.get(container)
        if context is None or codec is None or context.name not in _TEXT:
            return None
        try:
            context.open(strict=False)
            target: Any = output.add_stream(codec)
            target.codec_context.subtitle_header = context.subtitle_header
            target.codec_context.time_base = Fraction(1, 1000)
            target.time_base = Fraction(1, 1000)
        except (ValueError, av.FFmpegError, LookupError, AttributeError):
            return None
        return cls(source, target, codec)

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        begins = (packet.pts or 0) * packet.time_base - offset
        ends = begins + (packet.duration or 0) * packet.time_base
        if end is not None:
            ends = min(ends, end - offset)
        begins = max(begins, Fraction(0))
        try:
            found = self._source.codec_context.decode2(packet)
            if found is None or not len(found):
                return  # mov_text fills its gaps with empty packets
            made = self.target.codec_context.encode_subtitle(found)
        except av.FFmpegError:
            return
        made.stream = self.target
        made.time_base = Fraction(1, 1000)
        made.pts = made.dts = round(begins * 1000)
        made.duration = round((ends - begins) * 1000)
        yield made

    def flush(self) -> Iterator[av.Packet[Any]]:
        yield from ()
