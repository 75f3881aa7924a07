"""Model cards, which are written next to every trained file: a description, facts and tables."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segnst.files import write_text
from segnst.train.run_folder import History


@dataclass(frozen=True)
class Table:
    """A table of column names, rows of as many values, and a title; floats get ``digits`` decimals."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""
    digits: int = 4

    def text(self) -> str:
        """The table in Markdown."""
        rows = [[f"{v:.{self.digits}f}" if isinstance(v, float) else str(v) for v in row] for row in self.rows]
        lines = [" | ".join(row) for row in (self.columns, *rows)]
        lines = [f"| {line} |" for line in lines]
        lines.insert(1, "|" + "---|" * len(self.columns))
        return "\n".join(([self.title, ""] if self.title else []) + lines)


def today() -> str:
    """The date in UTC, in ISO 8601 format."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def last_losses(history: History, count: int, title: str = "") -> Table:
    """A table of the mean of each loss over its last ``count`` values."""
    means = [(name, sum(v for _, v in points[-count:]) / len(points[-count:])) for name, points in history.items()]
    return Table(("term", "value"), means, title)


def section(name: str, about: str, facts: Mapping[str, str], tables: Sequence[Table], *, level: int = 1) -> str:
    """The Markdown of a card or of a section of it: header ``name``, description ``about``, a list of facts, tables."""
    listed = "\n".join(f"- {key}: {value}" for key, value in facts.items())
    parts = [f"{'#' * level} {name}", about, listed, *(t.text() for t in tables)]
    return "\n\n".join(p for p in parts if p) + "\n"


def write_card(weights: Path, about: str, facts: Mapping[str, str], *tables: Table) -> None:
    """Write the card of a weights file next to it, under the same name with ``.md``. Raises OutputError."""
    write_text(weights.with_suffix(".md"), section(weights.stem, about, facts, tables))
