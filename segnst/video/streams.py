"""Copy all streams except the film: sound, subtitles, covers, attachments, and also chapters and metadata.

The source is opened a second time, and its packets are copied while the picture is written. They are never copied
further than the picture has been written, so that the muxer need not buffer them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, cast

import av
from av.container import OutputContainer
from av.stream import Disposition, Stream

from segnst.video import pipes
from segnst.video.cues import SubtitleTranscoder
from segnst.video.guard import reading
from segnst.video.info import MediaInfo
from segnst.video.lanes import CopyCover, CopySound, CopyText, Lane
from segnst.video.layouts import name_channels
from segnst.video.source import film_of, open_input, readable, sounds_of, timed_streams
from segnst.video.tags import stream_metadata
from segnst.video.times import Parts, move
from segnst.video.transcode import AudioTranscoder

# Containers that need a channel layout for PCM. Without one, writing fails at the very end.
_NEEDS_NAMES = ("mp4", "mov")
# FFmpeg reports only when the header is written that these codecs cannot be in a mov.
_REFUSED = {"mov": {"opus", "libopus", "flac", "vorbis", "libvorbis", "truehd"}}
# Seconds by which sound may come after the picture of the same time in a stream.
_LATEST_SOUND = 2


class Companions:
    """Copies the other streams of ``info.path`` into ``output``.

    audio     "copy", "encode" or "no"
    others    whether to keep subtitles, covers and attachments
    warnings  the list to which warnings are added
    cut       whether the clip is trimmed
    """

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
        self._parts = info.counted.parts if info.counted is not None else (Fraction(0),)
        self._finder = Parts()
        # From a pipe, nothing is read ahead of the picture, because all that the picture has not reached yet is kept.
        self._tape = pipes.tape_of(info.path)
        self._player: pipes.Player | None = None
        self.late_warnings: list[str] = []
        with reading(info.path):
            self._source = open_input(info.path)
            self._player = self._tape.hold() if self._tape is not None else None
            self._sounds = {sound.index for sound in sounds_of(self._source, film_of(self._source, info))}

    def close(self) -> None:
        self._packets = None
        self._pending = None
        self._source.close()
        if self._tape is not None and self._player is not None:
            self._tape.forget(self._player)

    def add_all(self, add_video: Callable[[av.VideoStream], None]) -> None:
        """Add the output's streams in the order of the source; ``add_video`` adds the styled one."""
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
            if stream.index not in self._sounds:
                if "variant_bitrate" not in stream.metadata:
                    self._warnings.append(f"The {what} belongs to another film in the file and was dropped.")
                return None
            return self._add_audio(stream, what) if self._audio != "no" else None
        if stream.type == "video" and not cover:
            if "variant_bitrate" not in stream.metadata:
                self._warnings.append(f"The file has more than one video stream; {what} was dropped.")
            return None
        if stream.type == "data" and (self._is_timecode(stream) or self._is_chapters(stream)):
            return None  # the muxer creates a new one from the metadata of the video stream or the chapters
        if not self._others:
            return None
        if stream.type == "subtitle":
            return self._add_subtitle(stream, what)
        if stream.type == "attachment":
            if self._container == "matroska" and self._copied(stream) is not None:
                return None  # it is written with the header and has no packets
            self._warnings.append(f"The attachment in stream {stream.index} was dropped.")
            return None
        if cover:
            if self._container == "matroska" and self._attached(stream):
                return None
            target = self._copied(stream) if self._container == "mp4" else None
            if target is not None:
                return CopyCover(target)
            self._warnings.append(f"The cover picture in stream {stream.index} was dropped.")
            return None
        self._warnings.append(f"The {what} was dropped.")
        return None

    def _attached(self, stream: Any) -> bool:
        """Add a cover as an attachment, which is how Matroska stores covers. False if that is not possible."""
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
        """Whether this is the text track in which mp4 and mov store chapters."""
        return stream.name == "bin_data" and bool(self._source.chapters()) and "mp4" in self._info.container

    def _copied(self, stream: Stream) -> Stream | None:
        try:
            target = self._output.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.FFmpegError, LookupError):
            return None
        self._describe(stream, target)
        return target

    def _describe(self, stream: Stream, target: Stream) -> None:
        kept = {**readable(target.metadata), **stream_metadata(stream, cut=self._cut, container=self._container)}
        target.metadata.clear()
        target.metadata.update(kept)
        target.disposition = stream.disposition

    def _add_audio(self, stream: av.AudioStream, what: str) -> Lane | None:
        name = stream.codec_context.name if stream.codec_context is not None else "unknown"
        copy = self._audio == "copy" and name not in _REFUSED.get(self._container, ())
        target: Any = self._copied(stream) if copy else None
        if target is not None:
            if self._container in _NEEDS_NAMES and name.startswith("pcm_") and not name_channels(target.codec_context):
                raise ValueError(f"{what} has too many channels")  # the next attempt encodes it
            return CopySound(stream, target)
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
            return CopyText(stream, target, fills_gaps=codec is not None and codec.name == "mov_text")
        transcoder = SubtitleTranscoder.make(stream, self._output, self._container)
        name = stream.codec_context.name if stream.codec_context is not None else "unknown"
        if transcoder is None:
            self._warnings.append(f"The {what} ({name}) cannot be kept in this container and was dropped.")
            return None
        self._describe(stream, transcoder.target)
        self._warnings.append(f"The {what} ({name}) was rewritten as {transcoder.codec}, which this container takes.")
        return transcoder

    def add_chapters(self, start: Fraction, end: Fraction | None) -> None:
        """Copy the chapters, trimmed to the range of the picture in seconds."""
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
                text = readable(chapter.get("metadata", {}))
                kept.append({**chapter, **milli, "metadata": text, "time_base": Fraction(1, 1000)})
        if kept:
            self._output.set_chapters(kept)

    def begin(self, offset: Fraction, end: Fraction | None) -> None:
        """Start copying. ``offset`` (seconds in the source) becomes time 0; packets from ``end`` on are left out."""
        self._offset, self._end = offset, end
        streams: list[Any] = [self._source.streams[index] for index in self._lanes]
        if not streams:
            self.close()
            return
        if len(self._parts) > 1 or self._tape is not None:
            # The packets of both picture and sound are needed to find where each part begins, or where the picture is.
            timed = timed_streams(self._source, film_of(self._source, self._info))
            for stream in timed:
                stream.discard = av.stream.Discard.default
            streams = [*streams, *(stream for stream in timed if stream.index not in self._lanes)]
        self._packets = self._source.demux(streams)

    def pump(self, until: Fraction | None) -> None:
        """Copy the packets before ``until`` (seconds in the output), or all remaining packets for None."""
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
            if packet.stream_index not in self._lanes:
                continue
            for made in self._lanes[packet.stream_index].feed(packet, self._offset, self._end):
                self._output.mux_one(made)

    def _next(self) -> av.Packet[Any] | None:
        """The next packet in the range from any of the streams that are kept."""
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
            if len(self._parts) > 1:
                part = self._finder.of(packet)
                move(packet, self._parts[min(part, len(self._parts) - 1)])
            if packet.stream_index not in self._lanes:
                if self._is_over(packet):
                    return None
                if self._tape is None:
                    continue
                return packet
            if self._source.streams[packet.stream_index].type == "video":
                packet.pts = packet.dts = round(self._offset / packet.time_base)  # covers have no time
            if packet.pts is None and packet.dts is None:
                continue
            if self._in_range(packet):
                return packet

    def _is_over(self, packet: av.Packet[Any]) -> bool:
        """Whether a pipe has delivered all sound of the range, as a packet of the picture shows."""
        if self._tape is None or self._end is None or packet.dts is None:
            return False
        return packet.dts * packet.time_base > self._end + _LATEST_SOUND

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
