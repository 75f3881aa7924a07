"""Options that several commands share: device, verbosity, printed output, overwriting."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

from segnst.cli.from_settings import like, option
from segnst.cli.printer import KINDS
from segnst.config import FILES, RUNNING, Settings
from segnst.errors import UsageError, did_you_mean
from segnst.jobs.optimize_settings import OptimizeOptions

Kind = Literal["auto", "photos", "frames"]
Device = Annotated[str, like(Settings, "device")]
Offline = Annotated[bool, like(Settings, "offline")]
Quiet = Annotated[bool, option("Print no progress and no summary.", "-q", "--quiet", group=RUNNING)]
Progress = Annotated[
    str,
    option(
        "How progress is shown on stderr: auto (a bar on a terminal, else lines), bar, lines, json or none.",
        "--progress",
        metavar="HOW",
        group=RUNNING,
        complete=KINDS,
    ),
]
As = Annotated[
    str,
    option(
        "What the pictures of a folder are: photos (each for itself) or frames (of one film); auto decides by their "
        "names and sizes.",
        "--as",
        metavar="KIND",
        group=FILES,
        complete=get_args(Kind),
    ),
]
Json = Annotated[bool, option("Print the figures as JSON instead of a table.", "--json", group=FILES)]
ReportJson = Annotated[bool, option("Print the report as JSON.", "--json", group=FILES)]
Overwrite = Annotated[bool, option("Replace an existing output.", "--overwrite", group=FILES)]
Features = Annotated[str, like(OptimizeOptions, "features")]


def kind_of(text: str) -> Kind:
    """The value of ``--as``. Raises UsageError for another."""
    if text not in get_args(Kind):
        raise UsageError(f"--as must be {', '.join(get_args(Kind))}, got '{text}'.{did_you_mean(text, get_args(Kind))}")
    return cast(Kind, text)


def names_of(text: str) -> tuple[str, ...]:
    """Split a list of names at its commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def tell(written: Sequence[Path], quiet: bool) -> None:
    """Print on stderr which files were written, unless ``quiet``."""
    if not quiet:
        print("wrote " + ", ".join(map(str, written)), file=sys.stderr)
