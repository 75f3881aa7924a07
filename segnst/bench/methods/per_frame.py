"""Every frame painted as if it were the only one: the ceiling of all errors, and the reference for sharpness."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from segnst.bench.samples import Context, Sample


def run(samples: Iterator[Sample], context: Context) -> Iterator[Tensor]:
    """Per-frame styling, which uses nothing of earlier frames."""
    for sample in samples:
        yield sample.painted
