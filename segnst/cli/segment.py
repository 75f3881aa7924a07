"""``segnst segment``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segnst.cli.ahead import check_ahead
from segnst.cli.batch import tell_batch
from segnst.cli.from_settings import Only, like, option, with_options
from segnst.cli.options import As, Progress, Quiet, ReportJson, kind_of
from segnst.cli.printer import Printer, print_json
from segnst.cli.streams import print_path
from segnst.config import FILES, WHAT, Settings
from segnst.jobs.segment_settings import DetectSettings, SegmentSettings

if TYPE_CHECKING:
    from segnst.jobs.segment import SegmentReport

SOURCE = (
    "segmenter", "box", "point", "not_point", "foreground", "background", "at", "masks", "masks_override",
    "mask_classes", "start", "end", "max_size", "deinterlace", "device", "engine", "offline",
)  # fmt: skip


@with_options
def segment(
    input: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="Videos, stills, and folders of photos or frames.")
    ],
    output: Annotated[Path, option("Folder for the masks.", "-o", "--output", metavar="DIR", group=FILES)],
    settings: SegmentSettings,
    source: Annotated[Settings, Only(*SOURCE)],
    detect: Annotated[
        str | None,
        option(
            "Cut out all objects of these classes, such as person,dog. Each object gets a value.",
            metavar="NAME,…",
            group=WHAT,
        ),
    ] = None,
    sam: Annotated[
        bool, option("With --detect: draw the masks by SAM instead of GrabCut.", "--sam", group=WHAT)
    ] = False,
    detector: Annotated[str | None, like(DetectSettings, "detector")] = None,
    kind: As = "photos",
    overwrite: Annotated[
        bool, option("Write into a folder that already has label maps.", "--overwrite", group=FILES)
    ] = False,
    json: ReportJson = False,
    quiet: Quiet = False,
    progress: Progress = "auto",
) -> None:
    """Write a label map for each frame or photo: a PNG whose pixel values are the indices of the regions.

    An object selected by --box, --point or --foreground is region 1, called object; objects with names follow in
    order. All boxes without a name select one object. The pictures of a folder are separate photos, unless an object is
    selected or --as frames is given; then they are the frames of a video. Of several inputs, each gets a folder of
    its own.
    """
    from segnst.errors import UsageError

    if detect is None and (sam or detector):
        raise UsageError("--sam and --detector need --detect NAMES, such as --detect person,dog --sam.")
    frames = kind_of(kind) == "frames"
    if len(input) == 1:
        check_ahead(input[0])
    from segnst.jobs.batch import detect_files, segment_files
    from segnst.jobs.segment import segment_file
    from segnst.jobs.segment_objects import detect_file

    with Printer(quiet, progress) as printer:
        if detect is not None:
            wanted = DetectSettings(
                tuple(detect.split(",")), "sam" if sam else "grabcut", detector, source.start, source.end,
                source.max_size, source.device, source.offline, source.deinterlace,
            )  # fmt: skip
        settings = replace(settings, source=source)
        how: dict[str, Any] = {"overwrite": overwrite, "context": printer.context}
        if len(input) > 1:
            batch = (
                segment_files(input, output, settings, frames=frames, **how)
                if detect is None
                else detect_files(input, output, wanted, **how)
            )
        elif detect is not None:
            report = detect_file(input[0], output, wanted, **how)
        else:
            report = segment_file(input[0], output, settings, frames=frames, **how)
    if len(input) > 1:
        tell_batch(batch, json=json, quiet=quiet)
        return
    if json:
        print_json(report)
    elif not quiet:
        if report.table:
            print(report.table, file=sys.stderr)
        print(f"{report.frames} label maps{covered(report)}", file=sys.stderr)
        print_path(report.output)


def covered(report: SegmentReport) -> str:
    """What the regions cover in the mean over the frames, and how sure they are: ``: cup 12.1 % (confidence 0.93)``."""
    parts = []
    for name, values in report.area.items():
        mean = sum(values) / max(1, len(values))
        if mean > 0 and name not in ("background", "other"):
            sure = (report.confidence or {}).get(name)
            parts.append(f"{name} {mean:.1f} %" + (f" (confidence {sum(sure) / len(sure):.2f})" if sure else ""))
    return f": {', '.join(parts)}" if parts else ""
