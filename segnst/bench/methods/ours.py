"""segnst itself: masks and painted frames are stabilized, then composed with the source."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from segnst.bench.samples import Context, Sample


def run(samples: Iterator[Sample], context: Context) -> Iterator[Tensor]:
    """What `segnst style` makes with the settings of this run."""
    for sample in samples:
        yield sample.ours.rgb
