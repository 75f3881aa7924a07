"""``segnst style``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from segnst.cli.ahead import check_ahead
from segnst.cli.from_settings import Given, option, with_options
from segnst.cli.options import Overwrite, Progress, Quiet, ReportJson
from segnst.cli.printer import Printer, print_json
from segnst.cli.streams import print_path
from segnst.config import FILES, RUNNING, WHAT, Settings, read_plan_file
from segnst.jobs.chunks.settings import Spread


@with_options
def style(
    input: Annotated[Path, typer.Argument(metavar="INPUT", help="Video, still, or folder of frames.")],
    given: Given[Settings],
    spread: Spread,
    fade: Annotated[
        list[str] | None,
        option(
            "Fade from one style to the next at these times. Can be repeated.",
            metavar="[REGION=]SECONDS:STYLE,SECONDS:STYLE…",
            group=WHAT,
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        option(
            "Plan file (TOML) with settings; options on the command line take precedence.", metavar="FILE", group=WHAT
        ),
    ] = None,
    output: Annotated[
        Path | None,
        option(
            "Output: mp4, mkv, mov, webm, gif, a still, or a folder. Default: results/<stem>_<styles>.<ext>",
            "-o",
            "--output",
            metavar="PATH",
            group=FILES,
        ),
    ] = None,
    overwrite: Overwrite = False,
    sheet: Annotated[
        Path | None, option("Also write a contact sheet of the output (PNG).", metavar="FILE", group=FILES)
    ] = None,
    preview: Annotated[
        int, option("Write only a contact sheet (PNG) that shows every stage of N frames.", metavar="N", group=FILES)
    ] = 0,
    dry_run: Annotated[
        bool, option("Print plan, weights and cost; write nothing.", "--dry-run", group=RUNNING)
    ] = False,
    json: ReportJson = False,
    quiet: Quiet = False,
    progress: Progress = "auto",
) -> None:
    """Paint the regions of a video or still, each in its own style.

    Example:

    \b
    segnst style street.mp4 -s car=starry_night -s background=great_wave
    """
    from segnst.errors import UsageError

    settings = given.build(read_plan_file(plan) if plan is not None else None)
    settings = replace(settings, styles=settings.styles + tuple(fade or ()))
    if preview < 0:
        raise UsageError(f"--preview must be at least 0 frames, got {preview}.")
    check_ahead(input, settings.styles, fast=settings.fast)

    from segnst.jobs.preview import preview_sheet, survey
    from segnst.jobs.style import style_file

    with Printer(quiet, progress) as printer:
        run = printer.context
        if dry_run:
            facts = survey(input, output, settings, overwrite=overwrite, context=run)
        elif preview:
            shown = preview_sheet(input, output, settings, count=preview, overwrite=overwrite, context=run)
        else:
            report = style_file(input, output, settings, sheet=sheet, spread=spread, overwrite=overwrite, context=run)
    if json:
        print_json(facts if dry_run else shown if preview else report)
    elif dry_run:
        print(_readable(facts.as_dict()))
    elif quiet:
        return
    elif preview:
        print_path(shown.output)
    else:
        per_frame = ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in report.stages.items())
        print(f"{report.frames} frames in {report.seconds:.1f} s (ms a frame: {per_frame})", file=sys.stderr)
        print_path(report.output)
        if sheet:
            print_path(sheet)


def _readable(facts: dict[str, Any]) -> str:
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = "; ".join(map(str, value))
        lines.append(f"{name:10} {value}")
    return "\n".join(lines)
