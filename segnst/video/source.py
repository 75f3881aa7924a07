"""Opening a video file: its name, its text, which of its streams is the film, who decodes it."""

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
from segnst.video.geometry import Matrix
from segnst.video.info import MediaInfo

# A playlist without an end is taken for a live one, of which FFmpeg shows the last three pieces and
# waits for more: here it is read from its beginning, and has ended when its file has.
_PLAYLISTS = {"live_start_index": "0", "max_reload": "1"}
# FFmpeg draws plain text as if it were the screen of a terminal.
_NO_VIDEO = {"tty", "bin", "xbin", "adf", "idf", "bintext", "lrc", "srt", "ass", "webvtt"}
# A header that promises video is believed only if a frame comes out of this many packets.
_PATIENCE = 300
# Streams that show what the film is about but are not the film.
_BESIDE = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
# Codecs of pictures: a stream of one of them is a film only if it has more than one picture.
_PICTURES = {"mjpeg", "png", "bmp", "tiff", "webp", "gif", "jpeg2000", "jpegls"}
# The decoder that reads transparency from beside the picture, where FFmpeg's own leaves it out.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def file_name(path: Path) -> str:
    """The name by which FFmpeg takes ``path`` for a file: a colon in ``12:30.mp4`` would make "12" a protocol."""
    return os.fspath(path) if path.is_absolute() else f".{os.sep}{path}"


def open_input(path: Path) -> av.container.InputContainer:
    """Open a video file; playlists in it may not reach out to the network. Raises PyAV's errors.

    Times are as the file has them: FFmpeg would guess presentation times where there are none, and
    guesses them wrong for B-frames in AVI. Metadata that is not UTF-8 comes with surrogates, for
    :func:`readable`.
    """
    container = av.open(
        file_name(path),
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
    """Metadata as Unicode; what is not UTF-8 is read as Windows-1252, which is Latin-1 with a few letters more."""
    return {_readable(key): _readable(value) for key, value in metadata.items()}


def _readable(text: str) -> str:
    stored = text.encode("utf-8", "surrogateescape")
    try:
        return stored.decode("utf-8")
    except UnicodeDecodeError:
        return stored.decode("cp1252", "replace")


def film_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The stream to style: no cover, no thumbnail, and of several one that moves before one that does not.
    Of those, the first that is marked as default, else the largest.

    May read packets: use the container for nothing else afterwards. Raises InputError.
    """
    films = [stream for stream in container.streams.video if not stream.disposition & _BESIDE]
    if not films:
        what = "only sound" if container.streams.audio else "no video"
        raise InputError(f"{path} holds {what}: there are no frames to style.")
    known = [stream for stream in films if stream.codec_context is not None]
    if not known:
        raise InputError(f"The codec of {path} is unknown here; convert the file first.")
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
    """Which of the streams have more than one picture, as far as the first packets show."""
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
    """The sound that belongs to the film: all there is, but in a file with several films only the film's own.

    Several films are the variants of one in a master playlist, which FFmpeg marks by their bit rates
    (sound that all variants share has no mark), or the programs of a transport stream, of which
    PyAV shows no more than one sound each.
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
    """The decoder that a stream needs for its transparency, or None where FFmpeg's own does."""
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) != "1":
        return None
    try:
        av.codec.Codec(name, "r")
    except ValueError:
        return None
    return name


class FrameDecoder:
    """Decodes packets of one stream, by the decoder that keeps what it holds."""

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
        """The frames that come out for ``packet``; an empty one asks for the rest. Raises PyAV's errors."""
        if self._context is None:
            return list(packet.decode())
        return list(self._context.decode(packet if packet.size else None))

    def rest(self) -> list[av.VideoFrame]:
        """The frames that are still inside, where no empty packet came."""
        context: Any = self._context or self._stream.codec_context
        return list(context.decode(None))


def first_frames(
    container: av.container.InputContainer, stream: av.VideoStream, path: Path, decoder: str | None
) -> Iterator[av.VideoFrame]:
    """The frames of ``stream`` from the beginning on; InputError where there is none.

    Damage before the first frame is passed over; after it, it ends the frames.
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
    """The film and its sound: the streams whose times show where a recording begins anew."""
    return [film, *sounds_of(container, film)]
