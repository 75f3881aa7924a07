"""The lines that a training prints on stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segnst.train.run import Progress


class TrainingLines:
    """A listener of a run that prints a line every few iterations, and one for each validation.

    name    what is trained
    every   number of iterations between two lines
    sums    names under which losses are added up, and how the names of these losses begin (default: each alone)
    recent  weight of the past in the running mean of each loss; 0 shows the losses of the iteration itself
    """

    def __init__(
        self,
        name: str,
        *,
        every: int = 10,
        sums: Mapping[str, Sequence[str]] | None = None,
        recent: float = 0.95,
    ) -> None:
        self.name, self.every, self.sums, self.recent = name, every, sums, recent
        self._mean: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        for key, value in progress.losses.items():
            self._mean[key] = self.recent * self._mean.get(key, value) + (1 - self.recent) * value
        if progress.scores:
            self._print(progress, progress.scores)
        elif progress.iteration % self.every == 0 or progress.minutes_left == 0:
            pace = f"  {progress.seconds:.2f} s an iteration  {progress.minutes_left:.0f} min left"
            self._print(progress, self._shown(), pace)

    def _shown(self) -> Mapping[str, float]:
        if self.sums is None:
            return self._mean
        return {
            name: sum(v for k, v in self._mean.items() if k.startswith(tuple(starts)))
            for name, starts in self.sums.items()
        }

    def _print(self, progress: Progress, values: Mapping[str, float], rest: str = "") -> None:
        figures = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        print(
            f"{self.name} {progress.iteration}/{progress.iterations}  {figures}{rest}",
            file=sys.stderr,
            flush=True,
        )
