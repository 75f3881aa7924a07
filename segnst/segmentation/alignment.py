"""Which mask belongs to which frame of a run."""

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
    """The part of an input that is worked on.

    first  number of its first frame in the whole input;  count  of its frames
    times  seconds of all frames of the input, where they are known
    stems  names of all frames of the input, where it is made of files
    """

    first: int = 0
    count: int | None = None
    times: tuple[Fraction, ...] = ()
    stems: tuple[str, ...] = ()

    @classmethod
    def of(cls, reader: Reader) -> Run:
        """The run that a reader delivers. Raises InputError."""
        times = frame_times(reader.info)
        first = bisect_left(times, reader.start) if reader.start is not None else 0
        last = bisect_left(times, reader.end) if reader.end is not None else len(times)
        stems = tuple(p.stem for p in reader.info.files) if reader.info.kind != "video" else ()
        return cls(first, last - first, times, stems)


def numbers(files: Sequence[Path]) -> list[int] | None:
    """The number at the end of each name, None where one has none or two have the same."""
    found = [re.fullmatch(r"(?:.*\D)?([0-9]{1,9})", f.stem) for f in files]
    values = [int(match[1]) for match in found if match]
    return values if len(values) == len(files) == len(set(values)) else None


def align(masks: Sequence[Mask], run: Run, numbered: Sequence[int] | None = None) -> list[Mask | None]:
    """The mask of each frame of a run, from its first frame on; None for a frame that has none.

    One mask is for all frames. As many masks as the input has frames are theirs one by one. Else the numbers in the
    names of the masks are those of the input's frames, from 0 on, or from 1 on as FFmpeg counts. Masks of the run
    alone, as they come from a part that was cut out before, belong to it in order.
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
            # masks behind the end of the input stay in the list: they are what is left over
            length = max(end, max(by_number) + 1) if end == len(run.times) else end
            return [by_number.get(n) for n in range(run.first, length)]
    return list(masks if run.count == len(masks) else masks[run.first :])


def align_by_time(masks: Sequence[Mask], times: Sequence[Fraction], run: Run) -> list[Mask | None]:
    """The mask of each frame of a run from masks with times: the one that is shown when the frame begins.

    Times count from the first frame of either. As many masks as the input has frames, or the run, are theirs in order.
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
        now = time - run.times[0] + step / 10  # times are rounded
        inside = now < begins[-1] + step
        found.append(masks[max(0, bisect_right(begins, now) - 1)] if inside else None)
    return found
