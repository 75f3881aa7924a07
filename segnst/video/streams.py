"""Everything beside the picture: sound, subtitles, covers, attachments, chapters, metadata.

The source is opened a second time and its packets are copied while the picture is written, never
further ahead than the picture is, so that nothing piles up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Protocol, cast

import av
from av.container import OutputContainer
from av.stream import Disposition, Stream

from segnst.video.guard import reading
from segnst.video.probe import MediaInfo, open_input
from segnst.video.transcode import AudioTranscoder, SubtitleTranscoder

# What muxers write themselves, or what is true of the source file only.
_NOT_COPIED = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "rotate", "vendor_id")
_STATISTICS = ("number_of_", "_statistics", "bps", "duration-", "number_of_bytes")

# FFmpeg takes these into a mov until the header is written, and only then says that they do not fit.
_REFUSED = {"mov": {"opus", "libopus", "flac", "vorbis", "libvorbis", "truehd"}}

# QuickTime knows languages by the older of two names.
_QUICKTIME_LANGUAGES = {
    "deu": "ger", "fra": "fre", "nld": "dut", "ell": "gre", "isl": "ice", "ces": "cze", "slk": "slo",
    "ron": "rum", "sqi": "alb", "hye": "arm", "eus": "baq", "mya": "bur", "zho": "chi", "kat": "geo",
    "mkd": "mac", "msa": "may", "fas": "per", "bod": "tib", "cym": "wel",
}  # fmt: skip


def container_metadata(info: MediaInfo) -> dict[str, str]:
    """The file's metadata that belongs into the output."""
    return {key: value for key, value in info.metadata.items() if key.lower() not in _NOT_COPIED}


def stream_metadata(stream: Stream, *, cut: bool, styled: bool = False) -> dict[str, str]:
    """A stream's metadata that belongs into the output; a cut clip loses its time code."""
    del styled
    return {
        key: value
        for key, value in stream.metadata.items()
        if key.lower() not in _NOT_COPIED
        and not key.lower().startswith(_STATISTICS)
        and not (cut and key.lower() == "timecode")
    }


class Lane(Protocol):
    """Takes the packets of one source stream and yields packets for the output."""

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]: ...

    def flush(self) -> Iterator[av.Packet[Any]]: ...


class Copy:
    """Packets as they are, moved in time."""

    def __init__(self, source: Any, target: Any, *, fills_gaps: bool = False) -> None:
        self._target = target
        self._fills_gaps = fills_gaps
        self._base = source.time_base or Fraction(1, 1000)
        self._text = source.type == "subtitle"

    def feed(self, packet: av.Packet[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet[Any]]:
        if self._fills_gaps and bytes(packet) == b"\0\0":
            return  # an empty text between two subtitles: mp4's muxer makes its own, and would double it
        shift = round(offset / self._base)
        if packet.pts is not None:
            packet.pts -= shift
            if self._text and packet.pts < 0 and packet.duration:
                # A subtitle that is on the screen already when the cut begins.
                packet.duration += packet.pts
                packet.pts = 0
        if packet.dts is not None:
            packet.dts -= shift
        if packet.dts is None or (self._text and packet.pts is not None):
            packet.dts = packet.pts
        packet.stream = self._target
        yield packet

    def flush(self) -> Iterator[av.Packet[Any]]:
        yield from ()


class Companions:
    """Copies the other streams of ``info.path`` into ``output``."""

    def __init__(
        self,
        info: MediaInfo,
        output: OutputContainer,
        container: str,
        *,
        audio: str,
        others: bool,
        warnings: list[str],
        cut: bool,
    ) -> None:
        self._info = info
        self._output = output
        self._container = container
        self._audio = audio
        self._others = others
        self._warnings = warnings
        self._cut = cut
        self._lanes: dict[int, Lane] = {}
        self._packets: Iterator[av.Packet[Any]] | None = None
        self._pending: av.Packet[Any] | None = None
        self._offset = Fraction(0)
        self._end: Fraction | None = None
        self.late_warnings: list[str] = []
        with reading(info.path):
            self._source = open_input(info.path)

    def close(self) -> None:
        self._packets = None
        self._pending = None
        self._source.close()

    def add_all(self, add_video: Callable[[av.VideoStream], None]) -> None:
        """Make the output's streams in the source's order; ``add_video`` makes the styled one."""
        for stream in self._source.streams:
            if stream.index == self._info.video_index:
                add_video(cast(av.VideoStream, stream))
                stream.discard = av.stream.Discard.all
                continue
            lane = self._add(stream)
            if lane is None:
                stream.discard = av.stream.Discard.all
            else:
                self._lanes[stream.index] = lane

    def _add(self, stream: Any) -> Lane | None:
        what = f"{stream.type} stream {stream.index}"
        cover = stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)
        if stream.type == "audio":
            return self._add_audio(stream, what) if self._audio != "no" else None
        if stream.type == "video" and not cover:
            self._warnings.append(f"The file has more than one video stream; {what} was dropped.")
            return None
        if stream.type == "data" and (self._is_timecode(stream) or self._is_chapters(stream)):
            return None  # the muxer makes a new one, from the video stream's metadata or the chapters
        if not self._others:
            return None
        if stream.type == "subtitle":
            return self._add_subtitle(stream, what)
        if stream.type == "attachment":
            if self._container == "matroska" and self._copied(stream) is not None:
                return None  # goes into the header, without packets
            self._warnings.append(f"The attachment in stream {stream.index} was dropped.")
            return None
        if cover:
            if self._container == "matroska" and self._attached(stream):
                return None
            target = self._copied(stream) if self._container == "mp4" else None
            if target is not None:
                return Copy(stream, target)
            self._warnings.append(f"The cover picture in stream {stream.index} was dropped.")
            return None
        self._warnings.append(f"The {what} was dropped.")
        return None

    def _attached(self, stream: Any) -> bool:
        """Put a cover where Matroska keeps it, among the attachments."""
        kind = stream.codec_context.name if stream.codec_context is not None else ""
        mime = {"mjpeg": "image/jpeg", "png": "image/png"}.get(kind)
        if mime is None:
            return False
        with open_input(self._info.path) as file:
            packet = next((p for p in file.demux(file.streams[stream.index]) if p.size), None)
        if packet is None:
            return False
        name = stream.metadata.get("filename") or ("cover.png" if kind == "png" else "cover.jpg")
        self._output.add_attachment(name, mime, bytes(packet))
        return True

    def _is_timecode(self, stream: Stream) -> bool:
        if self._cut or self._container not in ("mp4", "mov"):
            return False
        return "timecode" in stream.metadata

    def _is_chapters(self, stream: Stream) -> bool:
        """Whether this is the track of text in which mp4 and mov keep chapters."""
        return stream.name == "bin_data" and bool(self._source.chapters()) and "mp4" in self._info.container

    def _copied(self, stream: Stream) -> Stream | None:
        try:
            target = self._output.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.FFmpegError, LookupError):
            return None
        self._describe(stream, target)
        return target

    def _describe(self, stream: Stream, target: Stream) -> None:
        target.metadata.update(stream_metadata(stream, cut=self._cut))
        target.disposition = stream.disposition
        language = target.metadata.get("language")
        if self._container == "mov" and language in _QUICKTIME_LANGUAGES:
            target.metadata["language"] = _QUICKTIME_LANGUAGES[language]

    def _add_audio(self, stream: av.AudioStream, what: str) -> Lane | None:
        name = stream.codec_context.name if stream.codec_context is not None else "unknown"
        copy = self._audio == "copy" and name not in _REFUSED.get(self._container, ())
        target = self._copied(stream) if copy else None
        if target is not None:
            return Copy(stream, target)
        transcoder = AudioTranscoder.make(stream, self._output, self._container)
        if transcoder is None:
            self._warnings.append(f"The {what} ({name}) cannot be kept in this container and was dropped.")
            return None
        self._describe(stream, transcoder.target)
        self._warnings.append(f"The {what} ({name}) was re-encoded as {transcoder.codec}, which this container takes.")
        return transcoder

    def _add_subtitle(self, stream: Stream, what: str) -> Lane | None:
        target = self._copied(stream)
        if target is not None:
            codec = stream.codec_context
            return Copy(stream, target, fills_gaps=codec is not None and codec.name == "mov_text")
        transcoder = SubtitleTranscoder.make(stream, self._output, self._container)
        name = stream.codec_context.name if stream.codec_context is not None else "unknown"
        if transcoder is None:
            self._warnings.append(f"The {what} ({name}) cannot be kept in this container and was dropped.")
            return None
        self._describe(stream, transcoder.target)
        self._warnings.append(f"The {what} ({name}) was rewritten as {transcoder.codec}, which this container takes.")
        return transcoder

    def add_chapters(self, start: Fraction, end: Fraction | None) -> None:
        """Copy the chapters, cut to the range as the picture is."""
        kept: list[Any] = []
        first = start + self._info.origin
        for chapter in self._source.chapters():
            base = chapter["time_base"] or Fraction(1, 1000)
            begins, ends = chapter["start"] * base - first, chapter["end"] * base - first
            if end is not None:
                ends = min(ends, end - start)
            begins = max(begins, Fraction(0))
            if ends > begins:
                milli = {"start": round(begins * 1000), "end": round(ends * 1000)}
                kept.append({**chapter, **milli, "time_base": Fraction(1, 1000)})
        if kept:
            self._output.set_chapters(kept)

    def begin(self, offset: Fraction, end: Fraction | None) -> None:
        """``offset`` seconds of the source become 0; packets that begin at ``end`` or later are left out."""
        self._offset, self._end = offset, end
        streams = [self._source.streams[index] for index in self._lanes]
        self._packets = self._source.demux(streams) if streams else None

    def pump(self, until: Fraction | None) -> None:
        """Copy what is due before ``until`` (seconds in the output), or all that is left."""
        while self._packets is not None:
            if self._pending is None:
                self._pending = self._next()
                if self._pending is None:
                    self._packets = None
                    self._flush()
                    return
            packet = self._pending
            time = packet.dts if packet.dts is not None else packet.pts
            if until is not None and time is not None and time * packet.time_base - self._offset >= until:
                return
            self._pending = None
            for made in self._lanes[packet.stream_index].feed(packet, self._offset, self._end):
                self._output.mux_one(made)

    def _next(self) -> av.Packet[Any] | None:
        """The next packet of any kept stream that lies in the range."""
        assert self._packets is not None
        while True:
            try:
                packet = next(self._packets, None)
            except (av.FFmpegError, OSError) as error:
                self.late_warnings.append(f"Sound and subtitles end early ({getattr(error, 'strerror', error)}).")
                return None
            if packet is None:
                return None
            if packet.size == 0:
                continue
            if self._source.streams[packet.stream_index].type == "video":
                packet.pts = packet.dts = round(self._offset / packet.time_base)  # covers have no time
            if packet.pts is None and packet.dts is None:
                continue
            if self._in_range(packet):
                return packet

    def _in_range(self, packet: av.Packet[Any]) -> bool:
        if not self._cut or self._source.streams[packet.stream_index].type == "video":
            return True
        begins = Fraction((packet.pts if packet.pts is not None else packet.dts) or 0) * packet.time_base
        ends = begins + (packet.duration or 0) * packet.time_base
        return ends > self._offset and (self._end is None or begins < self._end)

    def _flush(self) -> None:
        for lane in self._lanes.values():
            for made in lane.flush():
                self._output.mux_one(made)
