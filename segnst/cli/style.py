"""``segnst style``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from segnst.cli.ahead import check_ahead
from segnst.cli.batch import tell_batch
from segnst.cli.from_settings import Given, option, with_options
from segnst.cli.options import As, Overwrite, Progress, Quiet, ReportJson, kind_of
from segnst.cli.printer import Printer, print_json
from segnst.cli.streams import print_path
from segnst.config import FILES, RUNNING, WHAT, Settings
from segnst.jobs.chunks.settings import Spread


@with_options
def style(
    given: Given[Settings],
    spread: Spread,
    input: Annotated[
        list[Path] | None,
        typer.Argument(metavar="INPUT", help="Videos, stills, and folders of frames, photos or films; - reads a pipe."),
    ] = None,
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
            "Plan file (TOML) with settings, or a film or picture that segnst made, whose recipe is repeated; options "
            "on the command line take precedence.",
            metavar="FILE",
            group=WHAT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        option(
            "Output: mp4, mkv, mov, webm, gif, y4m, a still, or a folder (for several inputs too); - writes to a pipe "
            "(--format). Default: results/<stem>_<styles>.<ext>",
            "-o",
            "--output",
            metavar="PATH",
            group=FILES,
            stdout=True,
        ),
    ] = None,
    kind: As = "auto",
    recursive: Annotated[
        bool, option("Also style what lies in the folders below.", "--recursive", group=FILES)
    ] = False,
    watch: Annotated[
        Path | None,
        option("Style what arrives in this folder, until Ctrl-C.", metavar="FOLDER", group=FILES),
    ] = None,
    overwrite: Overwrite = False,
    layers: Annotated[
        Path | None,
        option(
            "Also write each layer with its alpha, for compositors: a folder of PNGs, or x.mov (ProRes 4444), x.mkv "
            "(FFV1) or x.exr (multilayer EXR).",
            metavar="PATH",
            group=FILES,
        ),
    ] = None,
    alpha: Annotated[
        str | None,
        option(
            "With --layers: straight (default) or premultiplied (default of EXR).",
            metavar="KIND",
            group=FILES,
            complete=("straight", "premultiplied"),
        ),
    ] = None,
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

    repeats = None
    if plan is not None:
        from segnst.recipe import read_plan

        repeats = read_plan(plan)
    settings = given.build(repeats.settings if repeats else None)
    settings = replace(settings, styles=settings.styles + tuple(fade or ()))
    if preview < 0:
        raise UsageError(f"--preview must be at least 0 frames, got {preview}.")
    inputs, folders = input or [], kind_of(kind)
    if bool(inputs) is (watch is not None):
        raise UsageError("Name what to style: INPUT …, or --watch FOLDER for what will arrive.")
    # one of several inputs that is missing does not keep the others from being styled
    check_ahead(inputs[0] if len(inputs) == 1 else Path(), settings.styles, fast=settings.fast)

    from segnst.jobs.batch import style_files, watch_folder
    from segnst.jobs.inputs import gather, single
    from segnst.jobs.layers import straight_or_not
    from segnst.jobs.preview import preview_sheet, survey
    from segnst.jobs.style import style_file
    from segnst.video.paths import is_stdout
    from segnst.video.stdout import take_stdout

    if output is not None and is_stdout(output) and not dry_run:
        take_stdout()  # what is printed goes to stderr from now on

    one = None if watch else single(inputs, output, settings, kind=folders, recursive=recursive)
    if one is None and (dry_run or preview or sheet or layers):
        if len(inputs) != 1 or sheet or layers:
            raise UsageError("--dry-run, --preview, --sheet and --layers look at one input; name a single one.")
        one = gather(inputs, kind=folders, recursive=recursive).found[0].path
    with Printer(quiet, progress) as printer:
        run = printer.context
        if watch is not None:
            if output is None or recursive:
                raise UsageError("--watch needs -o, a folder for the outputs, and looks into one folder only.")
            if not quiet:
                print(f"watching {watch}; Ctrl-C ends", file=sys.stderr, flush=True)
            batch = watch_folder(watch, output, settings, overwrite=overwrite, context=run, repeats=repeats)
        elif one is None:
            batch = style_files(
                inputs,
                output,
                settings,
                kind=folders,
                recursive=recursive,
                spread=spread,
                overwrite=overwrite,
                context=run,
                repeats=repeats,
            )
        elif dry_run:
            facts = survey(one, output, settings, overwrite=overwrite, context=run)
        elif preview:
            shown = preview_sheet(one, output, settings, count=preview, overwrite=overwrite, context=run)
        else:
            report = style_file(
                one, output, settings, sheet=sheet, layers=layers, alpha=straight_or_not(alpha, layers), spread=spread,
                overwrite=overwrite, context=run, repeats=repeats,
            )  # fmt: skip
    if one is None:
        tell_batch(batch, json=json, quiet=quiet)
        return
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
        if not is_stdout(report.output):
            print_path(report.output)
        for more in (sheet, layers):
            if more:
                print_path(more)


def _readable(facts: dict[str, Any]) -> str:
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = "; ".join(map(str, value))
        lines.append(f"{name:10} {value}")
    return "\n".join(lines)
