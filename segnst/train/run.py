"""The training loop that all trainings share: it reports progress, stores checkpoints and resumes at any iteration.

:class:`~segnst.train.training.Training` defines a step; ``Run`` decides when to stop, to validate and to store.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from segnst.errors import UsageError
from segnst.train.run_folder import History, RunFolder, Standing
from segnst.train.training import Training
from segnst.train.world import seed_of


@dataclass(frozen=True)
class Progress:
    """What is reported after each iteration and after each validation.

    iteration     how many of ``iterations`` are done
    seconds       mean time of an iteration
    minutes_left  estimated time until the run ends
    losses        of this iteration
    scores        what a validation measured; empty when there was none
    """

    iteration: int
    iterations: int
    seconds: float
    minutes_left: float
    losses: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


Report = Callable[[Progress], None]


class Run:
    """A training with its folder. A run that was begun in the folder is resumed, unless ``restart`` is set.

    save_seconds    store the run at least this often, in seconds
    save_every      … and every so many iterations
    validate_every  validate, and keep the best result, every so many iterations and at the end
    Raises OutputError when the folder cannot be created, UsageError when it holds a run of another kind or with other
    settings, WeightsError when its checkpoint is damaged.
    """

    def __init__(
        self,
        training: Training,
        folder: Path,
        *,
        restart: bool = False,
        save_seconds: float = 120.0,
        save_every: int | None = None,
        validate_every: int | None = None,
    ) -> None:
        self.training, self.folder = training, RunFolder(folder)
        self.save_seconds, self.save_every, self.validate_every = save_seconds, save_every, validate_every
        self.standing = Standing() if restart else self.folder.read(training)
        self._first, self._began, self._saved = self.iteration, time.monotonic(), time.monotonic()
        self._ticked = self._began  # when ``standing.seconds`` was last updated
        if training.minutes and training.world.size > 1:
            raise UsageError(
                "--minutes needs a single process: several would end at different steps. Give --iterations."
            )

    @property
    def iteration(self) -> int:
        """How many iterations are done."""
        return self.standing.iteration

    @property
    def seconds(self) -> float:
        """How long the training has taken so far, including earlier sessions."""
        return self.standing.seconds + time.monotonic() - self._ticked

    @property
    def done(self) -> float:
        """The share of the training that is done, 0 to 1: of its minutes if it has any, else of its iterations."""
        training = self.training
        if training.minutes:
            return min(1.0, self.seconds / (60 * training.minutes))
        return min(1.0, self.iteration / training.iterations)

    @property
    def history(self) -> History:
        """All losses and scores so far."""
        return self.standing.history

    @property
    def first_process(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.training.world.rank == 0

    def go(
        self,
        *,
        stop_at: int | None = None,
        report: Report | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train to the end.

        stop_at  end after this many iterations, although more are planned
        report   called after every iteration and every validation, in the first process only
        stop     called after each iteration; if it returns True, the run is stored and ends
        Raises UsageError when a loss is no longer finite, OutputError when the folder cannot be written.
        """
        training = self.training
        end = min(stop_at or training.iterations, training.iterations)
        tell = report if report is not None and self.first_process else lambda _: None
        self._first, self._began, self._saved = self.iteration, time.monotonic(), time.monotonic()
        self._ticked = self._began
        try:
            while self.iteration < end and self.done < 1:
                tell(self._progress(end, losses=self._step()))
                if self._due(self.validate_every) or (training.judged_by and self.done >= 1):
                    tell(self._progress(end, scores=self._validate()))
                stopped = stop()
                late = time.monotonic() - self._saved > self.save_seconds
                if stopped or late or self._due(self.save_every) or self.iteration == end or self.done >= 1:
                    self.save()
                if stopped:
                    break
        finally:
            training.close()

    def save(self) -> None:
        """Store the run, in the first process."""
        if self.first_process:
            self.folder.write(self.training, self.standing)
        self._saved = time.monotonic()

    def _due(self, every: int | None) -> bool:
        return every is not None and self.iteration % every == 0

    def _step(self) -> dict[str, float]:
        training = self.training
        training.done = self.done
        torch.manual_seed(seed_of(training.seed, training.world.turn(self.iteration)))
        losses = training.step(self.iteration)
        wrong = [name for name, value in losses.items() if not math.isfinite(value)]
        if wrong:
            good = self.folder.checkpoint
            state = f"the last good state is {good}" if good.exists() else "nothing was stored yet"
            raise UsageError(
                f"The loss is no longer finite at iteration {self.iteration} ({', '.join(wrong)}); {state}. "
                f"{training.remedy}"
            )
        self.standing.iteration += 1
        self.standing.seconds, self._ticked = self.seconds, time.monotonic()
        self.standing.note(losses)
        return losses

    def _validate(self) -> dict[str, float]:
        """Validate and keep the best result so far, in the first process only."""
        training = self.training
        if not self.first_process or training.judged_by is None:
            return {}
        values = training.validate()
        self.standing.note(values)
        score, best = values[training.judged_by], self.standing.best
        if best is None or score > best:
            self.standing.best = score
            training.keep(self.folder.path, self.iteration, values)
        return values

    def _progress(
        self, end: int, *, losses: Mapping[str, float] | None = None, scores: Mapping[str, float] | None = None
    ) -> Progress:
        seconds = (time.monotonic() - self._began) / max(1, self.iteration - self._first)
        left = (end - self.iteration) * seconds / 60
        if self.training.minutes:
            left = self.training.minutes - self.seconds / 60
        return Progress(self.iteration, self.training.iterations, seconds, left, losses or {}, scores or {})
