"""``segnst style``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from segnst.cli import options
from segnst.cli.options import Device, Offline
from segnst.cli.printer import Printer, print_json

Entry = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads the annotation
    typer.Option("-s", "--style", help="REGION[,REGION]=STYLE[@STRENGTH], or STYLE for the whole frame. Repeat it."),
]


def style(
    context: typer.Context,
    input: Annotated[Path, typer.Argument(metavar="INPUT", help="Video, still or folder of frames.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="mp4, mkv, mov, webm, gif, a still, or a folder. Default: results/<stem>_<styles>.<ext>",
        ),
    ] = None,
    styles: Entry = None,
    fade: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="[REGION=]SECONDS:STYLE,SECONDS:STYLE…: from one style to the next. Repeat it."),
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Plan file (TOML) with the same settings; options given here win.")
    ] = None,
    segmenter: Annotated[
        str, typer.Option(help="What finds the regions: a name, or the path of a trained one.")
    ] = "deeplab",
    box: options.Boxes = None,
    point: options.Points = None,
    not_point: options.NotPoints = None,
    foreground: options.Foreground = None,
    background: options.Background = None,
    at: options.AtTime = None,
    masks: options.Masks = None,
    masks_override: options.Override = None,
    mask_classes: options.MaskClasses = None,
    flow: Annotated[str, typer.Option(help="Optical flow: dis or raft.")] = "dis",
    edge: Annotated[str, typer.Option(help="Borders: guided, feather:PX, hard, threshold:X.")] = "guided",
    stabilize: Annotated[bool, typer.Option("--stabilize/--no-stabilize", help="Hold the paint steady.")] = True,
    stability: Annotated[float, typer.Option(help="How steady, 0 to 1.")] = 0.9,
    fast: Annotated[
        bool, typer.Option("--fast", help="For speed: the bundled styles' narrower network, one look at what is where.")
    ] = False,
    tile: Annotated[
        str, typer.Option(help="Paint in pieces, for 4K and above: exact (the same picture), auto (faster), off.")
    ] = "off",
    stroke_size: Annotated[float, typer.Option(help="Size of the strokes, 1 as they come.")] = 1.0,
    keep_colors: Annotated[bool, typer.Option("--keep-colors", help="Paint the luminance only.")] = False,
    keep_colors_of: Annotated[
        str, typer.Option(metavar="REGION,…", help="The same for these regions only, separated by commas.")
    ] = "",
    start: Annotated[float | None, typer.Option(help="First second.")] = None,
    end: Annotated[float | None, typer.Option(help="Second to stop before.")] = None,
    max_size: Annotated[int | None, typer.Option(metavar="PX", help="Reduce the long side to this.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of a folder of frames (25).")] = None,
    codec: Annotated[
        str | None, typer.Option(help="h264, hevc, vp9, av1, ffv1 … Default: by the output's suffix.")
    ] = None,
    crf: Annotated[int | None, typer.Option(help="Quality of the encoder; lower is better.")] = None,
    preset: Annotated[str | None, typer.Option(help="Speed of the encoder.")] = None,
    audio: Annotated[bool, typer.Option("--keep-audio/--no-audio", help="Copy the sound tracks.")] = True,
    device: Device = "auto",
    offline: Offline = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    preview: Annotated[
        int, typer.Option(metavar="N", help="Only a contact sheet of N frames with every stage (PNG).")
    ] = 0,
    sheet: Annotated[Path | None, typer.Option(help="Beside the output, a contact sheet of it (PNG).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show plan, weights and cost; write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Report on stdout as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no summary.")] = False,
) -> None:
    """Paint the regions of a video or still, each in its own style.

    Example: segnst style street.mp4 -s car=starry_night -s background=great_wave
    """
    from segnst.config import Settings, read_plan_file
    from segnst.errors import UsageError

    given: dict[str, Any] = {name: context.params[name] for name in Settings.__dataclass_fields__}
    given |= {name: tuple(given[name] or ()) for name in ("styles", "box", "point", "not_point")}
    given |= options.as_text(given)
    given["styles"] += tuple(fade or ())
    if plan is not None:
        from_file = read_plan_file(plan)
        for name, value in from_file.items():
            source = context.get_parameter_source(name)
            if source is None or source.name != "COMMANDLINE":
                given[name] = value
    settings = Settings(**given)
    if preview < 0:
        raise UsageError(f"--preview must be a number of frames, got {preview}.")

    from segnst.jobs.preview import preview_sheet, survey
    from segnst.jobs.style import style_file

    with Printer(quiet) as printer:
        run = printer.context
        if dry_run:
            facts = survey(input, output, settings, overwrite=overwrite, context=run)
        elif preview:
            shown = preview_sheet(input, output, settings, count=preview, overwrite=overwrite, context=run)
        else:
            report = style_file(input, output, settings, sheet=sheet, overwrite=overwrite, context=run)
    if json:
        print_json(facts if dry_run else shown if preview else report)
    elif dry_run:
        print(_readable(facts.as_dict()))
    elif quiet:
        return
    elif preview:
        print(shown.output)
    else:
        per_frame = ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in report.stages.items())
        print(f"{report.frames} frames in {report.seconds:.1f} s (ms a frame: {per_frame})", file=sys.stderr)
        print(report.output)
        if sheet:
            print(sheet)


def _readable(facts: dict[str, Any]) -> str:
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = "; ".join(map(str, value))
        lines.append(f"{name:10} {value}")
    return "\n".join(lines)
