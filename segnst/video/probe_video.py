"""Find out what a video file holds, from its header, its first frames and, if necessary, all of its packets."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av

from segnst.errors import InputError
from segnst.video import color, pipes, times
from segnst.video.color import ColorTags
from segnst.video.geometry import Orientation, orientation_of, sane_aspect, square_size
from segnst.video.guard import input_error, reading
from segnst.video.info import CountedFacts, HeaderFacts, MediaInfo, StreamSummary
from segnst.video.source import (
    alpha_decoder,
    film_stream,
    first_frames,
    matrix_of,
    open_input,
    readable,
    timed_streams,
)

DEFAULT_FPS = Fraction(25)
# An average frame rate above this is checked against the packets.
_USUAL_RATE = 121
# No film has more frames per second. A header with a larger value counts fields or ticks, or is broken.
_FASTEST = 1000
# The number of frames to check for usable presentation times.
_SAMPLE = 24
# Containers in which time stamps can restart although FFmpeg does not expect it.
_JOINABLE = {"flv"}
_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT: FFmpeg expects that time stamps restart


def _open(path: Path) -> av.container.InputContainer:
    try:
        return open_input(path)
    except InputError:
        raise
    except (av.error.InvalidDataError, ValueError) as error:
        message = f"{path} is neither a video nor a picture that can be read."
        if pipes.tape_of(path) is not None:
            message += " An mp4 or mov file whose index is at its end cannot come from a pipe."
        raise InputError(message) from error
    except Exception as error:
        raise input_error(error, path) from error


def probe_video(path: Path) -> MediaInfo:
    """Find out the properties of a video file. Raises InputError for a file that cannot be used."""
    with _open(path) as container, reading(path):
        index = film_stream(container, path).index
    # Choosing the stream may have read packets, so the file is opened again for the first frame.
    with _open(path) as container, reading(path):
        stream: Any = container.streams[index]
        context = stream.codec_context
        decoder = alpha_decoder(stream)
        frames = first_frames(container, stream, path, decoder)
        frame = next(frames)
        time_base = stream.time_base or Fraction(1, 90_000)
        rate = _rate(path, stream, time_base)
        step = max(1, round(1 / (rate * time_base)))
        by_decoding = _reorders_in_vain(frame, frames, step) if _suspicious(path, index) else False
        tags = ColorTags(
            matrix=_first(frame.colorspace, context.colorspace, color.SPACE_UNSPECIFIED),
            range=_first(frame.color_range, context.color_range, color.RANGE_UNSPECIFIED),
            primaries=_first(frame.color_primaries, context.color_primaries, color.UNSPECIFIED),
            transfer=_first(frame.color_trc, context.color_trc, color.UNSPECIFIED),
        )
        matrix = matrix_of(frame)
        orientation = orientation_of(matrix)
        aspect = sane_aspect(stream.sample_aspect_ratio)
        width, height = (orientation or Orientation()).size(square_size((frame.width, frame.height), aspect))
        joinable = _is_joinable(container)
        first = times.Clock(step, by_decoding=by_decoding).best_effort(frame.pts, frame.dts)
        header = _header(container, stream, rate)
        counted = None
        if joinable and pipes.tape_of(path) is None:  # counting would read a pipe to its end
            counted = _count(path, index, step)
        return MediaInfo(
            path=path,
            kind="video",
            width=width,
            height=height,
            storage_width=frame.width,
            storage_height=frame.height,
            header=header,
            counted=counted,
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
            video_index=index,
            variable_rate=_is_variable(stream),
            times_by_decoding=by_decoding,
            decoder=decoder,
            first_pts=first if first is not None else 0,
            origin=_origin(container, joinable),
            streams=tuple(_summary(each) for each in container.streams),
            metadata=readable(container.metadata),
            warnings=tuple(_warnings(path, tags, orientation is None, counted)),
        )


def _warnings(path: Path, tags: ColorTags, odd_angle: bool, counted: CountedFacts | None) -> list[str]:
    warnings = []
    if odd_angle:
        warnings.append(f"{path.name} has a rotation that is not a multiple of 90 degrees; it is styled as stored.")
    if tags.hdr:
        warnings.append(f"{path.name} is HDR; it is styled without tone mapping.")
    if not color.known_matrix(tags):
        warnings.append(
            f"The color matrix of {path.name} (number {tags.matrix}) is not supported; BT.709 or BT.601 is used."
        )
    if counted is not None and len(counted.parts) > 1:
        warnings.append(
            f"The time stamps of {path.name} restart, as in joined recordings ({len(counted.parts)} parts); "
            "each part was moved to follow the one before it."
        )
    return warnings


def _summary(stream: av.stream.Stream) -> StreamSummary:
    context: Any = stream.codec_context
    codec = context.name if context is not None else getattr(stream, "name", None)
    detail = ""
    if stream.type == "audio" and context is not None:
        detail = f"{context.sample_rate} Hz, {context.layout.name}"
    elif stream.type == "video" and context is not None:
        cover = " cover" if stream.disposition & av.stream.Disposition.attached_pic else ""
        detail = f"{context.width}x{context.height}{cover}"
    return StreamSummary(stream.index, stream.type, codec, readable(stream.metadata).get("language"), detail)


def _rate(path: Path, stream: Any, time_base: Fraction) -> Fraction:
    """Frames per second: the average if plausible, else as measured in the first packets, else as FFmpeg guesses."""
    average = stream.average_rate
    if average and 0 < average <= _USUAL_RATE:
        return Fraction(average)
    with _open(path) as container:
        packets = [p for p in islice(container.demux(container.streams[stream.index]), 2 * _SAMPLE) if p.size]
    stamps = sorted({stamp for p in packets if (stamp := p.dts if p.dts is not None else p.pts) is not None})
    steps = sorted(after - before for before, after in pairwise(stamps))
    measured = 1 / (steps[len(steps) // 2] * time_base) if steps else None
    guesses = (stream.guessed_rate, stream.base_rate, average)
    if measured is not None:
        # A guess of FFmpeg that is close to the measured rate is preferred, because time stamps are rounded.
        near = [Fraction(g) for g in guesses if g and abs(g - measured) < measured / 50]
        guesses = (*near, measured, *guesses)
    return next((Fraction(g) for g in guesses if g and 0 < g <= _FASTEST), DEFAULT_FPS)


def _is_joinable(container: av.container.InputContainer) -> bool:
    """Whether time stamps can restart within this kind of file."""
    return bool(container.format.flags & _TS_DISCONT) or container.format.name in _JOINABLE


def _origin(container: av.container.InputContainer, joinable: bool) -> Fraction:
    """The time in the file, in seconds, that counts as 0 for the user.

    mp4 and Matroska have a timeline that begins at 0. In others, such as transport streams, the first time stamp is
    arbitrary (negative after an overflow of the counter), and counts as 0.
    """
    start = container.start_time or 0
    if any(name in container.format.name for name in ("mp4", "matroska")) or (start < 0 and not joinable):
        return Fraction(0)
    return Fraction(start, av.time_base)


def _suspicious(path: Path, index: int) -> bool:
    """Whether presentation times could be copies of decoding times although frames are reordered.

    This is possible if the presentation times of the first packets only increase, or if some are missing.
    """
    with _open(path) as container:
        stream: Any = container.streams[index]
        if not stream.codec_context.has_b_frames:
            return False
        stamps = [packet.pts for packet in islice(container.demux(stream), 2 * _SAMPLE) if packet.size]
    known = [stamp for stamp in stamps if stamp is not None]
    return len(known) < len(stamps) or all(before < after for before, after in pairwise(known))


def _reorders_in_vain(frame: av.VideoFrame, following: Any, step: int) -> bool:
    """Whether presentation times of the first frames are missing or less reliable than decoding times."""
    clock: times.Clock[None] = times.Clock(step)
    shown = False
    for each in (frame, *islice(following, _SAMPLE)):
        clock.best_effort(each.pts, each.dts)
        shown |= each.pts is not None
    return clock.prefers_decoding or not shown


def _count(path: Path, index: int, step: int) -> CountedFacts | None:
    with _open(path) as container:
        film: Any = container.streams[index]

        def packets() -> Any:
            try:
                yield from container.demux(timed_streams(container, film))
            except (av.FFmpegError, OSError):
                return  # count what can be read; the reader warns that the file ends early

        return times.count(packets(), film, step)


def _header(container: av.container.InputContainer, stream: Any, rate: Fraction) -> HeaderFacts:
    duration = None
    if stream.duration is not None and stream.time_base:
        duration = stream.duration * stream.time_base
    elif container.duration is not None:
        duration = Fraction(container.duration, av.time_base)
    return HeaderFacts(
        frames=stream.frames or (round(duration * rate) if duration else None),
        duration=float(duration) if duration is not None else None,
        end_pts=None if stream.duration is None else (stream.start_time or 0) + stream.duration,
    )


def _is_variable(stream: av.VideoStream) -> bool:
    """Whether frames are unevenly spaced according to the index of the file (mp4 and mov only)."""
    entries = stream.index_entries
    times = [entries[index].timestamp for index in range(min(len(entries), 2000))]
    steps = {after - before for before, after in pairwise(times)}
    # Steps may differ by 1: in a time base of 1/1000, even frames can alternate between 33 and 34.
    return len(steps) > 1 and max(steps) - min(steps) > 1


def _first(value: int, fallback: int, unknown: int) -> int:
    return int(value) if int(value) != unknown else int(fallback)
