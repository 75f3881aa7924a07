"""What a command says at the end of a batch: a table on stderr, and on stdout the paths that were written."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from segnst.cli.printer import print_json
from segnst.cli.streams import print_path

if TYPE_CHECKING:
    from segnst.jobs.batch import BatchReport

_MOST = 40  # rows; beyond that, only what failed is listed


def tell_batch(report: BatchReport, *, json: bool, quiet: bool) -> None:
    """Print a report on several inputs, and end with exit code 1 if any of them failed."""
    if json:
        print_json(report)
    elif not quiet:
        shown = [row for row in report.files if row["error"] or len(report.files) <= _MOST]
        width = max((len(str(row["input"])) for row in shown), default=0)
        for row in shown:
            what = row["error"] or f"{row['frames']} frames in {row['seconds']:.1f} s"
            print(f"{row['input']!s:{width}}  {'FAILED  ' if row['error'] else ''}{what}", file=sys.stderr)
        done = len(report.files) - report.failed
        failed = f", {report.failed} failed" if report.failed else ""
        print(f"{done} of {len(report.files)} done{failed}", file=sys.stderr)
        for row in report.files:
            if row["output"] is not None:
                print_path(row["output"])
    if report.failed:
        raise typer.Exit(1)
