"""The loop of the trainings that judge themselves as they go: step, report, validate, store."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from segnst.train.run_files import History

Report = Callable[[int, dict[str, float]], None]


class Pace(Protocol):
    """How long to train, and every how many iterations to validate and to store."""

    @property
    def iterations(self) -> int: ...
    @property
    def validate_every(self) -> int: ...
    @property
    def save_every(self) -> int: ...


class Run(Protocol):
    """One training run: where it stands, and what it can do. ``validate`` keeps ``out/best.safetensors``."""

    iteration: int
    history: History
    out: Path

    def validate(self) -> dict[str, float]: ...
    def store(self) -> None: ...


def train_loop(
    run: Run, step: Callable[[], dict[str, float]], pace: Pace, report: Report, stop: Callable[[], bool]
) -> Path:
    """Run to the last iteration, or until ``stop``; ``step`` gives the losses of one. Returns the best weights."""
    started, first = time.monotonic(), run.iteration
    while run.iteration < pace.iterations:
        losses = step()
        run.iteration += 1
        losses["seconds"] = (time.monotonic() - started) / (run.iteration - first)
        run.history.note(run.iteration, losses)
        report(run.iteration, losses)
        last = run.iteration == pace.iterations
        if last or run.iteration % pace.validate_every == 0:
            report(run.iteration, run.validate())
        if last or run.iteration % pace.save_every == 0 or stop():
            run.store()
            if not last and stop():
                break
    return run.out / "best.safetensors"
