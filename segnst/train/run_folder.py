"""The folder of a run: checkpoint, history, curves and previews, each written completely or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor

from segnst.errors import OutputError, UsageError, WeightsError
from segnst.files import output_error, write_text, written_whole
from segnst.pixels import to_bytes
from segnst.train.curves import draw_curves
from segnst.train.training import Training

History = dict[str, list[tuple[int, float]]]
"""Values by name, each a list of (iteration, value)."""


@dataclass
class Standing:
    """How far a run has come; a checkpoint holds this and the state of the training."""

    iteration: int = 0
    seconds: float = 0.0  # how long it has taken, including earlier sessions
    best: float | None = None
    history: History = field(default_factory=dict)

    def note(self, values: Mapping[str, float]) -> None:
        """Add values of this iteration to the history, rounded to six digits."""
        for name, value in values.items():
            self.history.setdefault(name, []).append((self.iteration, float(f"{value:.6g}")))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {error.filename} cannot be created ({error.strerror}).") from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary file to write to; it becomes ``path`` when no error occurs.

    Raises OutputError, or ResourceError when the disk is full.
    """
    try:
        with written_whole(path) as partial:
            yield partial
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError where it cannot write
        raise output_error(error, path) from error


class RunFolder:
    """What a run keeps: ``run.pt``, ``history.json``, ``curves.png`` and ``preview_*.png``."""

    def __init__(self, path: Path) -> None:
        make_folder(path)
        self.path, self.checkpoint = path, path / "run.pt"

    def write(self, training: Training, standing: Standing) -> None:
        """Store everything. Raises OutputError."""
        state = {
            "kind": training.kind,
            "settings": json.dumps(training.settings),
            "iteration": standing.iteration,
            "seconds": standing.seconds,
            "best": standing.best,
            "history": json.dumps(standing.history),
            "training": training.state(),
        }
        with whole(self.checkpoint) as partial:
            torch.save(state, partial)
        write_text(self.path / "history.json", json.dumps(standing.history))
        if standing.history:
            with whole(self.path / "curves.png") as partial:
                draw_curves(standing.history, partial)
        picture = training.preview()
        if picture is not None:
            self._write_picture(picture, self.path / f"preview_{standing.iteration:05d}.png")

    @staticmethod
    def _write_picture(picture: Tensor, path: Path) -> None:
        with whole(path) as partial:
            cv2.imwrite(str(partial), to_bytes(picture.cpu().flip(0)))

    def read(self, training: Training) -> Standing:
        """Restore ``training`` from the checkpoint, if there is one, and return how far the run had come.

        Raises UsageError when the checkpoint is of another kind or was written with other settings, WeightsError when
        it cannot be read.
        """
        if not self.checkpoint.exists():
            return Standing()
        try:
            saved: dict[str, Any] = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            kind, settings = saved["kind"], json.loads(saved["settings"])
            history = json.loads(saved["history"])
            past = {str(name): [(int(i), float(v)) for i, v in points] for name, points in history.items()}
            best = None if saved["best"] is None else float(saved["best"])
            standing = Standing(int(saved["iteration"]), float(saved["seconds"]), best, past)
        except Exception as error:  # a damaged or malicious file can raise anything
            raise self._unusable(error) from error
        self._compare(kind, settings, training)
        try:
            training.load(saved["training"])
        except Exception as error:  # torch raises various errors for tensors that do not fit
            raise self._unusable(error) from error
        return standing

    def _unusable(self, error: Exception) -> WeightsError:
        return WeightsError(
            f"{self.checkpoint} is damaged or is not a checkpoint of this training ({type(error).__name__}). "
            "Give --restart to start over."
        )

    def _compare(self, kind: str, settings: Mapping[str, Any], training: Training) -> None:
        if kind != training.kind:
            raise UsageError(
                f"{self.checkpoint} belongs to another kind of training: '{kind}', not '{training.kind}'. Choose "
                "another folder, or give --restart to start over."
            )
        now = json.loads(json.dumps(training.settings))
        changes = [
            f"{name} was {_said(settings.get(name))} and is now {_said(now.get(name))}"
            for name in {**settings, **now}
            if settings.get(name) != now.get(name) and name not in training.may_change
        ]
        if changes:
            raise UsageError(
                f"{self.checkpoint} was written with other settings: {'; '.join(changes)}. "
                "Give those settings to resume the run, or --restart to start over."
            )


def _said(value: object) -> str:
    return "not set" if value is None else json.dumps(value)
