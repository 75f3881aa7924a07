"""Open a video file, choose the stream to style and its sound, and decode its frames."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from segnst.errors import InputError
from segnst.files import reason
from segnst.untrusted import check_pixels
from segnst.video import pipes
from segnst.video.geometry import Matrix
from segnst.video.info import MediaInfo

# FFmpeg takes a playlist without an end mark for a live stream, reads only its last three segments and waits for more.
# With these options, it reads the playlist from its beginning and stops at its end.
_PLAYLISTS = {"live_start_index": "0", "max_reload": "1"}
# Formats that are not video: FFmpeg renders plain text as the screen of a terminal, for example.
_NO_VIDEO = {"tty", "bin", "xbin", "adf", "idf", "bintext", "lrc", "srt", "ass", "webvtt"}
# The number of packets to try to decode before a file counts as having no frames.
_PATIENCE = 300
# Streams with covers and thumbnails, which are not the film.
_BESIDE = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
# Picture codecs. A stream with one of them is a film only if it has more than one picture.
_PICTURES = {"mjpeg", "png", "bmp", "tiff", "webp", "gif", "jpeg2000", "jpegls"}
# Decoders that also decode the alpha channel of these codecs, which FFmpeg's default decoders ignore.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def file_name(path: Path) -> str:
    """A name for ``path`` that FFmpeg takes for a file. It would take the "12" of ``12:30.mp4`` for a protocol."""
    return os.fspath(path) if path.is_absolute() else f".{os.sep}{path}"


def open_input(path: Path) -> av.container.InputContainer:
    """Open a video file. Playlists cannot access the network. Raises PyAV's errors, or InputError for text files.

    FFmpeg does not generate missing presentation times, because it generates wrong ones for B-frames in AVI. Metadata
    that is not UTF-8 contains surrogates, which :func:`readable` decodes. A pipe is played from its beginning
    (:mod:`segnst.video.pipes`).
    """
    tape = pipes.tape_of(path)
    container = av.open(
        file_name(path) if tape is None else tape.open(),
        "r",
        container_options={"protocol_whitelist": "file,crypto,data", **_PLAYLISTS},
        metadata_errors="surrogateescape",
    )
    if container.format.name in _NO_VIDEO:
        container.close()
        raise InputError(f"{path} is neither a video nor a picture that can be read.")
    flags: Any = container.flags
    container.flags = flags & ~av.container.Flags.gen_pts.value
    return container


def readable(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as Unicode. Texts that are not UTF-8 are decoded as Windows-1252, an extension of Latin-1."""
    return {_readable(key): _readable(value) for key, value in metadata.items()}


def _readable(text: str) -> str:
    stored = text.encode("utf-8", "surrogateescape")
    try:
        return stored.decode("utf-8")
    except UnicodeDecodeError:
        return stored.decode("cp1252", "replace")


def film_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The stream to style. Covers and thumbnails are left out.

    Of several streams, those with more than one picture are preferred; of these, the first that is marked as default,
    else the largest. This may read packets, so the container cannot be used afterwards. Raises InputError.
    """
    films = [stream for stream in container.streams.video if not stream.disposition & _BESIDE]
    if not films:
        what = "only sound" if container.streams.audio else "no video"
        raise InputError(f"{path} holds {what}: there are no frames to style.")
    known = [stream for stream in films if stream.codec_context is not None]
    if not known:
        raise InputError(f"The codec of {path} is not supported; convert the file first.")
    for each in known:
        if each.codec_context.width and each.codec_context.height:
            check_pixels(each.codec_context.width, each.codec_context.height, path)
    if len(known) == 1:
        return known[0]
    moving = _moving(container, known)

    def rank(stream: av.VideoStream) -> tuple[bool, bool, int, int]:
        context = stream.codec_context
        default = bool(stream.disposition & Disposition.default)
        return stream.index in moving, default, 0 if default else context.width * context.height, -stream.index

    return max(known, key=rank)


def _moving(container: av.container.InputContainer, films: Sequence[av.VideoStream]) -> set[int]:
    """The indices of the streams that have more than one picture, as far as the first packets show."""
    doubtful = [s for s in films if s.frames <= 1 and (s.frames == 1 or s.codec_context.name in _PICTURES)]
    moving = {stream.index for stream in films} - {stream.index for stream in doubtful}
    unsure = {stream.index: 0 for stream in doubtful if stream.frames != 1}
    if not unsure:
        return moving
    try:
        for number, packet in enumerate(container.demux([stream for stream in films if stream.index in unsure])):
            if packet.size and packet.stream_index in unsure:
                unsure[packet.stream_index] += 1
            if number > _PATIENCE or min(unsure.values()) > 1:
                break
    except (av.FFmpegError, OSError):
        pass
    return moving | {index for index, pictures in unsure.items() if pictures > 1}


def sounds_of(container: av.container.InputContainer, film: av.VideoStream) -> list[av.AudioStream]:
    """The audio streams of the film: all of the file, unless the file has several films.

    Several films are either variants in a master playlist or programs in a transport stream. FFmpeg tags the streams of
    a variant with its bit rate, and audio that all variants share has no tag. For a program, PyAV reports only one
    audio stream.
    """
    sounds = list(container.streams.audio)
    films = [stream for stream in container.streams.video if not stream.disposition & _BESIDE]
    if len(films) < 2 or not sounds:
        return sounds
    mark = film.metadata.get("variant_bitrate")
    if mark is not None and sum(other.metadata.get("variant_bitrate") == mark for other in films) == 1:
        return [sound for sound in sounds if sound.metadata.get("variant_bitrate") in (mark, None)]
    if mark is None and container.format.name not in ("mpegts", "hls"):
        return sounds
    best = container.streams.best("audio", related=film)
    return [sound for sound in sounds if best is not None and sound.index == best.index]


def alpha_decoder(stream: av.VideoStream) -> str | None:
    """The decoder that a stream needs for its transparency, or None if FFmpeg's default is right."""
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) != "1":
        return None
    try:
        av.codec.Codec(name, "r")
    except ValueError:
        return None
    return name


class FrameDecoder:
    """Decodes the packets of one stream, with the named decoder if one is given."""

    def __init__(self, stream: av.VideoStream, decoder: str | None) -> None:
        self._context: av.VideoCodecContext | None = None
        if decoder is None:
            stream.thread_type = "AUTO"
            self._stream = stream
        else:
            context: Any = av.CodecContext.create(decoder, "r")
            context.extradata = stream.codec_context.extradata
            context.thread_count = 0
            self._context = context

    def __call__(self, packet: av.Packet[Any]) -> list[av.VideoFrame]:
        """The frames that are ready after ``packet``; an empty packet returns all that remain. Raises PyAV's errors."""
        if self._context is None:
            return list(packet.decode())
        return list(self._context.decode(packet if packet.size else None))

    def rest(self) -> list[av.VideoFrame]:
        """The frames that remain in the decoder, if there was no empty packet at the end."""
        context: Any = self._context or self._stream.codec_context
        return list(context.decode(None))


def first_frames(
    container: av.container.InputContainer, stream: av.VideoStream, path: Path, decoder: str | None
) -> Iterator[av.VideoFrame]:
    """Yield the first frames of ``stream``. Raises InputError if no frame can be decoded.

    Errors are skipped, except errors of the container, which end the frames.
    """
    problem: BaseException | None = None
    packets = 0
    found = False
    decode = FrameDecoder(stream, decoder)
    try:
        for packet in container.demux(stream):
            packets += 1
            try:
                for frame in decode(packet):
                    found = True
                    yield frame
            except av.FFmpegError as error:
                problem = error
            if packets > _PATIENCE:
                break
    except (av.FFmpegError, OSError) as error:
        problem = error
    if not found:
        tail = f" ({reason(problem)})" if problem is not None else ""
        raise InputError(f"Not one frame of {path} can be decoded{tail}; the file is damaged or cut off.")


def matrix_of(frame: av.VideoFrame) -> Matrix | None:
    """The display matrix that the decoder attached to a frame."""
    side_data: Any = frame.side_data
    for data in side_data:
        if data.type.name == "DISPLAYMATRIX" and len(bytes(data)) >= 36:
            return struct.unpack("=9i", bytes(data)[:36])
    return None


def film_of(container: av.container.InputContainer, info: MediaInfo) -> av.VideoStream:
    """The stream that :func:`film_stream` chose when the file was probed."""
    stream: Any = container.streams[info.video_index]
    return stream  # type: ignore[no-any-return]


def timed_streams(container: av.container.InputContainer, film: av.VideoStream) -> list[Any]:
    """The film and its sound: the streams whose times show where time stamps restart."""
    return [film, *sounds_of(container, film)]
