"""Match masks to the frames of a run."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from segnst.video.frame_times import frame_times
from segnst.video.read import Reader

Mask = TypeVar("Mask")


@dataclass(frozen=True, slots=True)
class Run:
    """The range of an input's frames that is processed.

    first  number of the range's first frame in the whole input, from 0
    count  number of frames in the range, or None if unknown
    times  times in seconds of all frames of the input, or empty if unknown
    stems  file names without suffix of all frames of the input, or empty if the input is not made of files
    size   (H, W) of the frames that the reader delivers, or None if unknown
    """

    first: int = 0
    count: int | None = None
    times: tuple[Fraction, ...] = ()
    stems: tuple[str, ...] = ()
    size: tuple[int, int] | None = None

    @classmethod
    def of(cls, reader: Reader) -> Run:
        """The range of frames that a reader delivers. Raises InputError."""
        times = frame_times(reader.info)
        first = bisect_left(times, reader.start) if reader.start is not None else 0
        last = bisect_left(times, reader.end) if reader.end is not None else len(times)
        stems = tuple(p.stem for p in reader.info.files) if reader.info.kind != "video" else ()
        return cls(first, last - first, times, stems, (reader.height, reader.width))


def numbers(files: Sequence[Path]) -> list[int] | None:
    """The number at the end of each file's stem; None if a file has no number or two have the same."""
    found = [re.fullmatch(r"(?:.*\D)?([0-9]{1,9})", f.stem) for f in files]
    values = [int(match[1]) for match in found if match]
    return values if len(values) == len(files) == len(set(values)) else None


def align(masks: Sequence[Mask], run: Run, numbered: Sequence[int] | None = None) -> list[Mask | None]:
    """The masks for the frames of a run, in order; None for a frame without a mask.

    A single mask applies to all frames. If there are as many masks as the whole input has frames, they match one to
    one. Otherwise the numbers in the masks' names (``numbered``) are frame numbers of the input, counted from 0, or
    from 1 as FFmpeg does. Masks without usable numbers match the frames of the run in order if there are as many of
    them, else the frames of the input.
    """
    end = None if run.count is None else run.first + run.count
    if len(masks) == 1:
        return list(masks)
    if run.times and len(masks) == len(run.times):
        return list(masks[run.first : end])
    if numbered is not None and end is not None:
        from_one = run.first == 0 and min(numbered) == 1 and max(numbered) == len(numbered)
        by_number = {n - from_one: mask for n, mask in zip(numbered, masks, strict=True)}
        covered = [n in by_number for n in range(run.first, end)]
        if all(covered) or (any(covered) and run.count != len(masks)):
            # Masks for frames after the end of the input stay in the list, so that they can be reported as left over.
            length = max(end, max(by_number) + 1) if end == len(run.times) else end
            return [by_number.get(n) for n in range(run.first, length)]
    return list(masks if run.count == len(masks) else masks[run.first :])


def align_by_time(masks: Sequence[Mask], times: Sequence[Fraction], run: Run) -> list[Mask | None]:
    """The masks for the frames of a run from masks with ``times`` in seconds, such as those of a mask video.

    Each frame gets the mask that is shown when the frame begins, or None if the masks have ended by then. Both kinds of
    times count from their own first frame. If there are as many masks as the input or the run has frames, they match
    in order instead.
    """
    if len(masks) == 1 or not run.times:
        return list(masks)
    last = len(run.times) if run.count is None else run.first + run.count
    if len(masks) == len(run.times):
        return list(masks[run.first : last])
    if len(masks) == run.count:
        return list(masks)
    begins = [t - times[0] for t in times]
    step = begins[-1] / (len(begins) - 1)
    found: list[Mask | None] = []
    for time in run.times[run.first : last]:
        now = time - run.times[0] + step / 10  # tolerates rounded times
        inside = now < begins[-1] + step
        found.append(masks[max(0, bisect_right(begins, now) - 1)] if inside else None)
    return found
