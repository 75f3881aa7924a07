"""What a file or folder holds, found out by opening it and decoding one frame."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import av

from segnst.errors import InputError, UsageError
from segnst.video import color, images
from segnst.video.color import ColorTags
from segnst.video.geometry import Matrix, Orientation, orientation_of, sane_aspect, square_size
from segnst.video.guard import input_error, reading

DEFAULT_FPS = Fraction(25)
_UNTAGGED = ColorTags()
_AS_STORED = Orientation()
# FFmpeg draws plain text as if it were the screen of a terminal.
_NO_VIDEO = {"tty", "bin", "xbin", "adf", "idf", "bintext", "lrc", "srt", "ass", "webvtt"}
# A header that promises video is believed only if a frame comes out of this many packets.
_PATIENCE = 300


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """One stream of the input, in one line."""

    index: int
    type: str
    codec: str | None
    language: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is known of an input before it is read.

    kind            a video file, one still image, or a folder of frames
    width, height   upright, with square pixels: what the networks see (before ``max_size``)
    frames          an estimate for videos (the container's own count where it has one), else exact
    duration        seconds of the video stream, or None
    fps             average frames a second; ``time_base``: seconds per unit of a frame's pts
    rotation        degrees clockwise that a player turns the stored picture by
    display_matrix  FFmpeg's nine integers, or None
    sample_aspect_ratio  width : height of a stored pixel (1 where unknown)
    color          the tags as found; ``bit_depth`` of the deepest component
    """

    path: Path
    kind: Literal["video", "image", "frames"]
    width: int
    height: int
    storage_width: int
    storage_height: int
    frames: int | None
    duration: float | None
    fps: Fraction
    time_base: Fraction
    codec: str
    container: str
    pixel_format: str
    bit_depth: int
    has_alpha: bool
    color: ColorTags = _UNTAGGED
    display_matrix: Matrix | None = None
    orientation: Orientation = _AS_STORED
    sample_aspect_ratio: Fraction = Fraction(1)
    aspect_tagged: bool = False
    sample_rates: tuple[int, ...] = ()
    variable_rate: bool = False
    end_pts: int | None = None
    video_index: int = 0
    first_pts: int = 0
    origin: Fraction = Fraction(0)
    streams: tuple[StreamSummary, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def rotation(self) -> int:
        o = self.orientation
        if not o.transpose:
            return 180 if o.vflip else 0
        return 90 if o.hflip else 270

    def of_type(self, kind: str) -> tuple[StreamSummary, ...]:
        """The streams of one type: audio, subtitle, data, attachment, video."""
        return tuple(stream for stream in self.streams if stream.type == kind)


def probe(path: str | Path, *, fps: float | Fraction | None = None) -> MediaInfo:
    """Look at a video, a still image or a folder of frames.

    ``fps`` is for a folder of frames only (default 25). Raises InputError, with one sentence, for
    whatever cannot be used, and UsageError for an ``fps`` that makes no sense.
    """
    path = Path(path)
    rate = rational_rate(fps) if fps is not None else DEFAULT_FPS
    with reading(path):
        is_folder = path.is_dir()
        path.stat()
        if is_folder:
            return _probe_folder(path, rate)
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty.")
        with path.open("rb") as file:
            still = images.is_still(file.read(64 * 1024))
    if still:
        return _probe_image(path, rate)
    return _probe_video(path)


def rational_rate(fps: float | Fraction) -> Fraction:
    """Frames a second as a fraction; 23.976, 29.97 and 59.94 mean the NTSC rates."""
    try:
        rate = Fraction(fps).limit_denominator(100_000)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{fps} is no frame rate.") from None
    if not 0 < rate <= 1000:
        raise UsageError(f"A frame rate must lie above 0 and not above 1000, not {float(fps):g}.")
    for whole in (24, 30, 48, 60, 120):
        ntsc = Fraction(whole * 1000, 1001)
        if abs(rate - ntsc) < Fraction(6, 1000):
            return ntsc
    return rate


def _still_info(
    path: Path, kind: Literal["image", "frames"], picture: images.Picture, rate: Fraction
) -> dict[str, Any]:
    height, width = picture.pixels.shape[:2]
    return {
        "path": path,
        "kind": kind,
        "width": width,
        "height": height,
        "storage_width": width,
        "storage_height": height,
        "fps": rate,
        "time_base": 1 / rate,
        "codec": picture.codec,
        "container": "image" if kind == "image" else "folder",
        "pixel_format": picture.pixel_format,
        "bit_depth": picture.bit_depth,
        "has_alpha": picture.alpha,
        "color": ColorTags(color.SPACE_RGB, color.RANGE_FULL),
    }


def _probe_image(path: Path, rate: Fraction) -> MediaInfo:
    picture = images.load(path)
    return MediaInfo(frames=1, duration=float(1 / rate), files=(path,), **_still_info(path, "image", picture, rate))


def _probe_folder(path: Path, rate: Fraction) -> MediaInfo:
    files, _ = images.apart_from_masks(images.frame_files(path))
    picture = images.load(files[0])
    images.check_sizes(files)
    return MediaInfo(
        frames=len(files),
        duration=float(len(files) / rate),
        files=tuple(files),
        **_still_info(path, "frames", picture, rate),
    )


def _summary(stream: av.stream.Stream) -> StreamSummary:
    context: Any = stream.codec_context
    codec = context.name if context is not None else getattr(stream, "name", None)
    detail = ""
    if stream.type == "audio" and context is not None:
        detail = f"{context.sample_rate} Hz, {context.layout.name}"
    elif stream.type == "video" and context is not None:
        cover = " cover" if stream.disposition & av.stream.Disposition.attached_pic else ""
        detail = f"{context.width}x{context.height}{cover}"
    return StreamSummary(stream.index, stream.type, codec, stream.metadata.get("language"), detail)


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The stream to style: the first video stream that is not a cover picture."""
    moving = [
        stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not moving:
        what = "only sound" if container.streams.audio else "no video"
        raise InputError(f"{path} holds {what}: there are no frames to style.")
    if moving[0].codec_context is None:
        raise InputError(f"The codec of {path} is unknown here; convert the file first.")
    return moving[0]


def first_frame(container: av.container.InputContainer, stream: av.VideoStream, path: Path) -> av.VideoFrame:
    """The first frame that decodes; InputError where none does."""
    problem: BaseException | None = None
    packets = 0
    try:
        for packet in container.demux(stream):
            packets += 1
            try:
                for frame in packet.decode():
                    return frame
            except av.FFmpegError as error:
                problem = error
            if packets > _PATIENCE:
                break
    except (av.FFmpegError, OSError) as error:
        problem = error
    tail = f" ({input_reason(problem)})" if problem is not None else ""
    raise InputError(f"Not one frame of {path} can be decoded{tail}; the file is damaged or cut off.")


def input_reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]


def matrix_of(frame: av.VideoFrame) -> Matrix | None:
    """The display matrix that the decoder attached to a frame."""
    side_data: Any = frame.side_data
    for data in side_data:
        if data.type.name == "DISPLAYMATRIX" and len(bytes(data)) >= 36:
            return struct.unpack("=9i", bytes(data)[:36])
    return None


def open_input(path: Path) -> av.container.InputContainer:
    """Open a video file; playlists in it may not reach out to the network. Raises PyAV's errors."""
    container = av.open(str(path), container_options={"protocol_whitelist": "file,crypto,data"})
    if container.format.name in _NO_VIDEO:
        container.close()
        raise InputError(f"{path} is neither a video nor a picture that can be read.")
    return container


def _probe_video(path: Path) -> MediaInfo:
    try:
        container = open_input(path)
    except Exception as error:
        if isinstance(error, InputError):
            raise
        if isinstance(error, (av.error.InvalidDataError, ValueError)):
            raise InputError(f"{path} is neither a video nor a picture that can be read.") from error
        raise input_error(error, path) from error
    with container, reading(path):
        stream = video_stream(container, path)
        context = stream.codec_context
        frame = first_frame(container, stream, path)
        tags = ColorTags(
            matrix=_first(frame.colorspace, context.colorspace, color.SPACE_UNSPECIFIED),
            range=_first(frame.color_range, context.color_range, color.RANGE_UNSPECIFIED),
            primaries=_first(frame.color_primaries, context.color_primaries, color.UNSPECIFIED),
            transfer=_first(frame.color_trc, context.color_trc, color.UNSPECIFIED),
        )
        matrix = matrix_of(frame)
        orientation = orientation_of(matrix)
        warnings = []
        if orientation is None:
            warnings.append(f"{path.name} asks to be shown at an odd angle; it is styled as stored.")
        if tags.hdr:
            warnings.append(f"{path.name} is HDR; its code values are styled as they are, without tone mapping.")
        if not color.known_matrix(tags):
            warnings.append(f"The color matrix of {path.name} (number {tags.matrix}) is read as BT.709 or BT.601.")
        aspect = sane_aspect(stream.sample_aspect_ratio)
        square = square_size((frame.width, frame.height), aspect)
        width, height = (orientation or Orientation()).size(square)
        time_base = stream.time_base or Fraction(1, 90_000)
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_FPS
        duration = _duration(container, stream)
        start = container.start_time or 0
        # These have a time line of their own. Others (a transport stream) count from anywhere, and
        # for a user begin at 0.
        starts_at_zero = any(name in container.format.name for name in ("mp4", "matroska"))
        return MediaInfo(
            path=path,
            kind="video",
            width=width,
            height=height,
            storage_width=frame.width,
            storage_height=frame.height,
            frames=stream.frames or (round(duration * rate) if duration else None),
            duration=float(duration) if duration is not None else None,
            fps=rate,
            time_base=time_base,
            codec=context.name,
            container=container.format.name,
            pixel_format=frame.format.name,
            bit_depth=color.bit_depth(frame.format),
            has_alpha=color.has_alpha(frame.format),
            color=tags,
            display_matrix=matrix,
            orientation=orientation or Orientation(),
            sample_aspect_ratio=aspect,
            aspect_tagged=bool(stream.sample_aspect_ratio),
            sample_rates=tuple(a.codec_context.sample_rate for a in container.streams.audio if a.codec_context),
            video_index=stream.index,
            variable_rate=_is_variable(stream),
            end_pts=None if stream.duration is None else (stream.start_time or 0) + stream.duration,
            first_pts=frame.pts if frame.pts is not None else 0,
            origin=Fraction(0) if starts_at_zero else Fraction(max(0, start), av.time_base),
            streams=tuple(_summary(each) for each in container.streams),
            metadata=dict(container.metadata),
            warnings=tuple(warnings),
        )


def _is_variable(stream: av.VideoStream) -> bool:
    """Whether the container's index shows unequal steps between frames (for mp4 and mov only)."""
    entries = stream.index_entries
    times = [entries[index].timestamp for index in range(min(len(entries), 2000))]
    steps = {after - before for before, after in pairwise(times)}
    # A time base of 1/1000 alternates between 33 and 34.
    return len(steps) > 1 and max(steps) - min(steps) > 1


def _first(value: int, fallback: int, unknown: int) -> int:
    return int(value) if int(value) != unknown else int(fallback)


def _duration(container: av.container.InputContainer, stream: av.VideoStream) -> Fraction | None:
    if stream.duration is not None and stream.time_base:
        return stream.duration * stream.time_base
    if container.duration is not None:
        return Fraction(container.duration, av.time_base)
    return None
