"""``segnst segment``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from segnst.cli import options
from segnst.cli.options import Device, Offline
from segnst.cli.printer import Printer, print_json


def segment(
    context: typer.Context,
    input: Annotated[Path, typer.Argument(metavar="INPUT", help="Video, still or folder of photos or frames.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the masks.")],
    segmenter: Annotated[
        str,
        typer.Option(
            help="A name (deeplab, deeplab:PX, grabcut, kmeans:K, files:PATH …), or the path of a trained one."
        ),
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
    formats: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads the annotation
        typer.Option(
            "--format",
            help="indexed (PNG, the default), soft16 (16-bit PNG a region), coco (JSON), overlay (mp4), alpha (mov), "
            "alpha-webm. Repeat it.",
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(metavar="OTHER", help="Compare with another segmenter: agreement, and a sheet check.png."),
    ] = None,
    detect: Annotated[
        str | None, typer.Option("--detect", metavar="NAMES", help="Cut out these objects: person,dog. One value each.")
    ] = None,
    sam: Annotated[bool, typer.Option("--sam", help="With --detect: masks by SAM instead of GrabCut.")] = False,
    detector: Annotated[str | None, typer.Option(help="With --detect: what draws the boxes.")] = None,
    start: Annotated[float | None, typer.Option(help="First second of a video.")] = None,
    end: Annotated[float | None, typer.Option(help="Second of a video to stop before.")] = None,
    max_size: Annotated[int | None, typer.Option(metavar="PX", help="Reduce the long side to this.")] = None,
    device: Device = "auto",
    offline: Offline = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder that has label maps already.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Report on stdout as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no summary.")] = False,
) -> None:
    """Write one indexed PNG a frame, or one for each photo under its own name; pixel value = region's index.

    What is pointed at (--box, --point, --foreground) is region 1, object; named ones follow in order. Unnamed boxes
    together are one object. A folder of photos is no sequence, unless something in it is pointed at.
    """
    from segnst.config import Settings
    from segnst.errors import UsageError
    from segnst.jobs.segment import SegmentSettings, segment_file
    from segnst.jobs.segment_objects import DetectSettings, detect_file

    if detect is None and (sam or detector):
        raise UsageError("--sam and --detector need --detect NAMES. Example: --detect person,dog --sam")
    where: dict[str, Any] = {
        "start": start, "end": end, "max_size": max_size, "device": device, "offline": offline,
    }  # fmt: skip
    with Printer(quiet) as printer:
        if detect is not None:
            wanted = DetectSettings(tuple(detect.split(",")), "sam" if sam else "grabcut", detector, **where)
            report = detect_file(input, output, wanted, overwrite=overwrite, context=printer.context)
        else:
            given: dict[str, Any] = {name: context.params[name] for name in options.NAMES}
            given |= {name: tuple(given[name] or ()) for name in ("box", "point", "not_point")}
            given |= options.as_text(given)
            source = Settings(segmenter=segmenter, **where, **given)
            settings = SegmentSettings(source, tuple(formats or ("indexed",)), check)
            report = segment_file(input, output, settings, overwrite=overwrite, context=printer.context)
    if json:
        print_json(report)
    elif not quiet:
        if report.table:
            print(report.table, file=sys.stderr)
        print(f"{report.frames} label maps", file=sys.stderr)
        print(report.output)
