"""Choose the output's time 0, and a frame rate and time base that the encoder supports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import av

from segnst.video.read import Reader

# Encoders that support all usual frame rates and time bases. Others are tested, because MPEG-4 Part 2 counts time in
# 16 bits, for example, and MPEG-2 has only eight frame rates.
_TAKE_ALL = {
    "libx264", "libx265", "libvpx", "libvpx-vp9", "libaom-av1", "libsvtav1", "librav1e", "ffv1", "prores_ks", "prores",
    "wrapped_avframe",
}  # fmt: skip
# Higher rates are not tested with these encoders, because they would print an error to stderr.
_HIGHEST_RATE = {"libsvtav1": 240}
_USUAL_RATE = 120
_USUAL_SCALE = 1_000_000
_SMALL_SCALE = 65_535
_STANDARD_RATES = tuple(Fraction(n, d) for n, d in (
    (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60000, 1001), (60, 1),
))  # fmt: skip


def time_offset(reader: Reader, first_pts: int) -> Fraction:
    """The time in the source, in seconds, that becomes 0 in the output.

    Without a ``start``, times are kept (except for the arbitrary first time of a transport stream). A trimmed clip
    begins with its first frame at time 0; if it starts before the film's first frame, the gap before that is kept.
    """
    info = reader.info
    if reader.start is None:
        # No frame may be before 0, because mp4 stores no such times and players do not show such frames.
        return min(info.origin, first_pts * info.time_base)
    if first_pts > info.first_pts:
        return first_pts * info.time_base
    return info.origin + reader.start


class EvenTimes:
    """Repeats and drops frames for a format without time stamps, so that each is shown at its time.

    rate      frames per second of the output
    repeated, dropped  numbers of frames so far
    """

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._count = 0
        self._zero: Fraction | None = None  # the time of the first frame, with which the output begins
        self.repeated = self.dropped = 0

    def times(self, begins: Fraction, lasts: Fraction) -> list[Fraction]:
        """The times at which to write a frame: none, one or several. All in seconds."""
        if self._zero is None:
            self._zero = begins
        first = self._count
        until = round((begins - self._zero + lasts) * self._rate)
        self._count = max(first, until)
        times = [number / self._rate for number in range(first, self._count)]
        self.dropped += not times
        self.repeated += max(0, len(times) - 1)
        return times

    @property
    def warnings(self) -> list[str]:
        """What was changed, in words."""
        if not self.repeated and not self.dropped:
            return []
        return [
            f"y4m has an even frame rate ({float(self._rate):g}); to keep the times of the frames, {self.repeated} "
            f"were repeated and {self.dropped} dropped."
        ]


def pace(
    encoder: str, pixel_format: str, size: tuple[int, int], options: Mapping[str, str], rate: Fraction, base: Fraction
) -> tuple[Fraction, Fraction]:
    """The frame rate and time base to encode with: the given ones, else the first pair that the encoder accepts.

    rate  frames per second
    base  seconds per unit of time

    If the encoder accepts no pair, the given one is returned, and opening the output raises the error.
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
        # This base is exact for evenly spaced frames and fine enough for others.
        yield simple, Fraction(1, simple.numerator * (_SMALL_SCALE // simple.numerator))
    yield min(rate, Fraction(60)), base
    yield min(rate, Fraction(60)), Fraction(1, 60_000)
    yield simple, 1 / simple
    # Higher rates first, from the nearest one upwards, so that no two frames round to the same unit.
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
