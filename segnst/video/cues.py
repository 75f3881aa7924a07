"""Convert text subtitles for containers that do not support the source's format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Stream
from av.subtitles.subtitle import SubtitleSet

_FORMATS = {"webm": "webvtt", "mp4": "mov_text", "mov": "mov_text", "matroska": "srt"}
_TEXT = {"mov_text", "srt", "subrip", "webvtt", "ass", "ssa", "text"}
_BASE = Fraction(1, 1000)


@dataclass(frozen=True)
class _Cue:
    """One subtitle: its begin and end in milliseconds, and its lines in ASS format."""

    begins: int
    ends: int
    lines: tuple[bytes, ...]


class SubtitleTranscoder:
    """Decodes text subtitles and encodes them in another text format.

    mp4 and mov can show only one text at a time: where cues overlap, the muxer would delay the second until the first
    has ended. For these containers, overlapping cues are split where one of them begins or ends, and while several are
    on the screen, their lines are joined in one text.
    """

    def __init__(self, source: Any, target: Any, codec: str) -> None:
        self.target = target
        self.codec = codec
        self._source = source
        self._one_at_a_time = codec == "mov_text"
        self._shown: list[_Cue] = []
        self._time = 0

    @classmethod
    def make(cls, source: Stream, output: OutputContainer, container: str) -> SubtitleTranscoder | None:
        """Add an encoding stream to ``output``; None for subtitles that are pictures or of an unknown kind."""
        context: Any = source.codec_context
        codec = _FORMATS.get(container)
        if context is None or codec is None or context.name not in _TEXT:
            return None
        try:
            context.open(strict=False)
            target: Any = output.add_stream(codec)
            target.codec_context.subtitle_header = context.subtitle_header
            target.codec_context.time_base = _BASE
            target.time_base = _BASE
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
        except av.FFmpegError:
            return
        lines = tuple(bytes(part.ass) for part in found or () if part.type in (b"ass", b"text") and part.ass)
        if not lines:
            return  # mov_text fills gaps between cues with empty packets
        cue = _Cue(round(begins / _BASE), round(ends / _BASE), lines)
        if not self._one_at_a_time:
            yield from self._write(cue)
            return
        yield from self._show_until(cue.begins)
        self._time = max(self._time, cue.begins)
        self._shown.append(cue)

    def _show_until(self, time: int | None) -> Iterator[av.Packet[Any]]:
        """Write the cues on the screen, from where writing stopped up to ``time`` (None: up to their end)."""
        while self._shown and (time is None or self._time < time):
            border = min(cue.ends for cue in self._shown)
            if time is not None:
                border = min(border, time)
            if border > self._time:
                lines = tuple(line for cue in self._shown for line in cue.lines)
                yield from self._write(_Cue(self._time, border, lines))
                self._time = border
            self._shown = [cue for cue in self._shown if cue.ends > self._time]

    def _write(self, cue: _Cue) -> Iterator[av.Packet[Any]]:
        if cue.ends <= cue.begins:
            return
        # An ASS line consists of eight fields and the text, separated by commas.
        head, texts = cue.lines[0].split(b",", 8)[:8], [line.split(b",", 8)[-1] for line in cue.lines]
        joined = b",".join([*head, rb"\N".join(texts)])
        try:
            made = self.target.codec_context.encode_subtitle(SubtitleSet.create(joined, 0, cue.ends - cue.begins))
        except av.FFmpegError:
            return
        made.stream = self.target
        made.time_base = _BASE
        made.pts = made.dts = cue.begins
        made.duration = cue.ends - cue.begins
        yield made

    def flush(self) -> Iterator[av.Packet[Any]]:
        yield from self._show_until(None)
