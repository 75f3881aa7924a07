"""When the output's frames come: its beginning, and a frame rate and time base that the encoder can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import av

from segnst.video.read import Reader

# Encoders that take any usual pair; others (MPEG-4 counts in 16 bits, MPEG-2 knows eight rates) are asked.
_TAKE_ALL = {
    "libx264", "libx265", "libvpx", "libvpx-vp9", "libaom-av1", "libsvtav1", "librav1e", "ffv1", "prores_ks", "prores",
}  # fmt: skip
# What an encoder refuses on stderr, behind Python's back, is not tried.
_HIGHEST_RATE = {"libsvtav1": 240}
_USUAL_RATE = 120
_USUAL_SCALE = 1_000_000
_SMALL_SCALE = 65_535
_STANDARD_RATES = tuple(Fraction(n, d) for n, d in (
    (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60000, 1001), (60, 1),
))  # fmt: skip


def time_offset(reader: Reader, first_pts: int) -> Fraction:
    """Seconds of the source that become 0 in the output.

    Without a ``start`` times stay as they are (a transport stream's arbitrary beginning apart). A
    cut clip begins with its first frame at 0, or as late as that frame comes after the start.
    """
    info = reader.info
    if reader.start is None:
        # No frame may come before 0, where mp4 keeps no times and players show nothing.
        return min(info.origin, first_pts * info.time_base)
    if first_pts > info.first_pts:
        return first_pts * info.time_base
    return info.origin + reader.start


def pace(
    encoder: str, pixel_format: str, size: tuple[int, int], options: Mapping[str, str], rate: Fraction, base: Fraction
) -> tuple[Fraction, Fraction]:
    """The rate and the time base to encode with: the given ones, else the first pair that the encoder opens with.

    rate  frames a second; base  seconds per unit of time. Where nothing opens, the given pair is
    returned, and opening the output says why.
    """
    if encoder in _TAKE_ALL and rate <= _USUAL_RATE and base.denominator <= _USUAL_SCALE:
        return rate, base
    for candidate in _candidates(rate, base):
        refused = candidate[0] > _HIGHEST_RATE.get(encoder, candidate[0])
        if not refused and _opens(encoder, pixel_format, size, options, *candidate):
            return candidate
    return rate, base


def _candidates(rate: Fraction, base: Fraction) -> Iterator[tuple[Fraction, Fraction]]:
    yield rate, base
    simple = rate.limit_denominator(1001)
    if simple.numerator <= _SMALL_SCALE:
        # Fine enough for uneven frames, and exact for even ones.
        yield simple, Fraction(1, simple.numerator * (_SMALL_SCALE // simple.numerator))
    yield min(rate, Fraction(60)), base
    yield min(rate, Fraction(60)), Fraction(1, 60_000)
    yield simple, 1 / simple
    # From the nearest rate upwards, so that no two frames fall on one unit.
    standard = sorted(_STANDARD_RATES, key=lambda each: (each < rate, abs(each - rate)))
    yield from ((each, 1 / each) for each in standard)


def _opens(
    encoder: str, pixel_format: str, size: tuple[int, int], options: Mapping[str, str], rate: Fraction, base: Fraction
) -> bool:
    try:
        context: Any = av.CodecContext.create(encoder, "w")
        context.width, context.height = size
        context.pix_fmt = pixel_format
        context.framerate, context.time_base = rate, base
        context.options = dict(options)
        context.open()
    except (av.FFmpegError, ValueError, OverflowError):
        return False
    return True
