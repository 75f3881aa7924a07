"""``segnst compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segnst.cli.from_settings import Given, option, with_options
from segnst.cli.options import Overwrite, Progress, Quiet, ReportJson
from segnst.cli.printer import Printer, print_json
from segnst.cli.streams import print_path
from segnst.config import FILES, WHAT
from segnst.study.settings import CompareOptions


@with_options
def compare(
    contents: Annotated[list[Path], typer.Argument(metavar="CONTENT…", help="Pictures to paint.")],
    painting: Annotated[
        Path, option("Painting for the optimizers, and for measuring style losses.", metavar="FILE", group=WHAT)
    ],
    given: Given[CompareOptions],
    output: Annotated[
        Path | None,
        option(
            "Write X.json, X.md and X.png.",
            "-o",
            "--output",
            metavar="X",
            group=FILES,
            show_default="results/compare",
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: ReportJson = False,
    quiet: Quiet = False,
    progress: Progress = "auto",
) -> None:
    """Compare optimization and networks on the same pictures: losses by layer, time, memory, steadiness, a sheet.

    Example:

    \b
    segnst compare street.jpg --painting night.jpg -o study \\
      --methods lbfgs,starry_night,mine.safetensors
    """
    from segnst.study.compare import compare_files

    options = given.build(painting=painting)
    with Printer(quiet, progress) as printer:
        report = compare_files(contents, output, options, overwrite=overwrite, context=printer.context)
    if json:
        print_json(report, indent=1)
    elif not quiet:
        for path in report.files:
            print_path(path)
