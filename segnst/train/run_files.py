"""What every training keeps in its folder: ``run.pt`` to go on from, ``history.json`` and ``curves.png``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from segnst.errors import WeightsError

RUN = "run.pt"


class History:
    """Figures by name, each a list of (iteration, value)."""

    def __init__(self, text: str = "{}") -> None:
        stored = json.loads(text)
        self.values: dict[str, list[tuple[int, float]]] = {
            k: [(int(i), float(x)) for i, x in v] for k, v in stored.items()
        }

    def note(self, iteration: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append((iteration, round(value, 6)))

    def text(self) -> str:
        return json.dumps(self.values)

    def draw(self, out: Path) -> None:
        """Write ``history.json`` and ``curves.png``."""
        from segnst.train.curves import draw_curves

        (out / "history.json").write_text(self.text())
        draw_curves({k: v for k, v in self.values.items() if k != "seconds"}, out / "curves.png")


def write_run(out: Path, state: dict[str, Any]) -> None:
    """Write all that is needed to go on, whole or not at all."""
    partial = out / f"{RUN}.part"
    torch.save(state, partial)
    partial.replace(out / RUN)


def read_run(out: Path, classes: Sequence[str], device: torch.device) -> dict[str, Any]:
    """Read it back. Raises WeightsError when it is missing, damaged, or of other ``classes``."""
    path = out / RUN
    if not path.is_file():
        raise WeightsError(f"There is no run to resume in {out} ({RUN} is missing).")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        theirs = list(state["classes"])
    except Exception as error:  # torch raises many kinds for a damaged or hostile file
        raise damaged(out, error) from error
    if theirs != list(classes):
        raise WeightsError(f"{path} was trained on other classes: {', '.join(theirs)}.")
    return state


def damaged(out: Path, error: Exception) -> WeightsError:
    """The error for a run file that reads but does not fit."""
    return WeightsError(f"The run file {out / RUN} is damaged and cannot be resumed ({type(error).__name__}).")
