"""Find out what a file or folder holds by opening it and decoding one frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from segnst import interrupts
from segnst.errors import InputError, UsageError
from segnst.video import animation, color, images, pipes
from segnst.video.color import ColorTags
from segnst.video.guard import check_kind, reading
from segnst.video.info import CountedFacts, HeaderFacts, MediaInfo
from segnst.video.probe_video import DEFAULT_FPS, probe_video

__all__ = ["MediaInfo", "probe", "rational_rate"]


def probe(path: str | Path, *, fps: float | Fraction | None = None, pipe: bool = False) -> MediaInfo:
    """Find out the properties of a video, a still image or a folder of frames.

    fps   frames per second of a folder of frames (default 25); ignored for videos
    pipe  also take a named pipe or ``-`` (standard input). The caller ends its tape (:func:`segnst.video.pipes.end`)

    Raises InputError for input that cannot be used, and UsageError for an invalid ``fps``.
    """
    path = Path(path)
    rate = rational_rate(fps) if fps is not None else DEFAULT_FPS
    if pipe and pipes.is_pipe(path):
        return _probe_pipe(path, rate)
    with reading(path):
        check_kind(path)
        if path.is_dir():
            return _probe_folder(path, rate)
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty.")
        with path.open("rb") as file:
            head = file.read(64 * 1024)
    if animation.is_animated_webp(head):
        return _probe_animation(path)
    if images.is_still(head):
        return _probe_image(path, rate)
    return probe_video(path)


def _probe_pipe(path: Path, rate: Fraction) -> MediaInfo:
    with reading(path):
        pipes.begin(path)
    try:
        # FFmpeg calls back to read a pipe, and an interrupt that is raised there would be lost.
        with interrupts.deferred():
            head = pipes.head(path)
            if not head:
                raise InputError(f"{path} ended before anything was received.")
            if animation.is_animated_webp(head):
                raise InputError(f"{path} is a pipe with an animated WebP, which must be a file.")
            if images.is_still(head):
                return _probe_image(path, rate)
            return probe_video(path)
    except BaseException:
        pipes.end(path)
        raise


def rational_rate(fps: float | Fraction) -> Fraction:
    """Frames per second as a fraction; 23.976, 29.97 and 59.94 mean the NTSC rates. Raises UsageError."""
    try:
        rate = Fraction(fps).limit_denominator(100_000)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{fps} is not a frame rate.") from None
    if not 0 < rate <= 1000:
        raise UsageError(f"A frame rate must be above 0 and at most 1000, not {float(fps):g}.")
    for whole in (24, 30, 48, 60, 120):
        ntsc = Fraction(whole * 1000, 1001)
        if abs(rate - ntsc) < Fraction(6, 1000):
            return ntsc
    return rate


def _still_info(
    path: Path, kind: Literal["image", "frames"], picture: images.Picture, rate: Fraction, count: int
) -> dict[str, Any]:
    height, width = picture.pixels.shape[:2]
    return {
        "path": path,
        "kind": kind,
        "width": width,
        "height": height,
        "storage_width": width,
        "storage_height": height,
        "header": HeaderFacts(),
        "counted": CountedFacts(count, float(count / rate)),
        "fps": rate,
        "time_base": 1 / rate,
        "codec": picture.codec,
        "container": "image" if kind == "image" else "folder",
        "pixel_format": picture.pixel_format,
        "bit_depth": picture.bit_depth,
        "has_alpha": picture.alpha,
        "warnings": picture.notes,
        "color": ColorTags(color.SPACE_RGB, color.RANGE_FULL),
    }


def _probe_image(path: Path, rate: Fraction) -> MediaInfo:
    picture = images.load(path)
    return MediaInfo(files=(path,), **_still_info(path, "image", picture, rate, 1))


def _probe_animation(path: Path) -> MediaInfo:
    lasting = animation.durations(path)
    first = next(animation.pictures(path, 1))
    height, width, channels = first.shape
    seconds = sum(lasting) / 1000
    return MediaInfo(
        path=path,
        kind="animation",
        width=width,
        height=height,
        storage_width=width,
        storage_height=height,
        header=HeaderFacts(),
        counted=CountedFacts(len(lasting), seconds),
        fps=Fraction(1000 * len(lasting), sum(lasting)),
        time_base=Fraction(1, 1000),
        codec="webp",
        container="webp",
        pixel_format=f"rgb{'a' if channels == 4 else ''}8",
        bit_depth=8,
        has_alpha=channels == 4,
        color=ColorTags(color.SPACE_RGB, color.RANGE_FULL),
        variable_rate=len(set(lasting)) > 1,
    )


def _probe_folder(path: Path, rate: Fraction) -> MediaInfo:
    files, _ = images.apart_from_masks(images.frame_files(path))
    picture = images.load(files[0])
    images.check_sizes(files)
    return MediaInfo(files=tuple(files), **_still_info(path, "frames", picture, rate, len(files)))
