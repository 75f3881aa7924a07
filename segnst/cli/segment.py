"""``segnst segment``."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from segnst.cli import options
from segnst.cli.options import Device, Offline


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
    from segnst.assembly import memory_advice
    from segnst.bench.agreement import Agreement
    from segnst.cli.frame_progress import ProgressBar
    from segnst.config import Settings
    from segnst.device import choose_device
    from segnst.errors import UsageError
    from segnst.jobs.segment import segment_to_folder
    from segnst.segmentation.from_settings import load_segmenter, segmenter_for
    from segnst.segmentation.objects.selection import is_selection
    from segnst.stabilize.cuts import is_cut
    from segnst.video.read import open_reader

    if detect is None and (sam or detector):
        raise UsageError("--sam and --detector need --detect NAMES. Example: --detect person,dog --sam")
    if detect is not None:
        _objects(input, output, detect, sam, detector, device, offline, overwrite, json, quiet)
        return
    given: dict[str, Any] = {name: context.params[name] for name in options.NAMES}
    given |= {name: tuple(given[name] or ()) for name in ("box", "point", "not_point")}
    given |= options.as_text(given)
    settings = Settings(
        segmenter=segmenter, max_size=max_size, device=device, offline=offline, start=start, end=end, **given
    )
    chosen = choose_device(device)
    sequence = not input.is_dir() or is_selection(settings) or masks_override is not None or masks is not None
    reader = open_reader(input, start=start, end=end, max_size=max_size) if sequence else None
    bar = ProgressBar(quiet)
    try:
        with memory_advice("this size"):
            network = segmenter_for(settings, chosen, reader)
            agreement = Agreement(network, load_segmenter(check, chosen, offline=offline)) if check else None
            report = segment_to_folder(
                input,
                output,
                agreement or network,
                formats=formats or ("indexed",),
                reader=reader,
                cut=is_cut,
                overwrite=overwrite,
                progress=bar,
            )
    finally:
        bar.close()
        if reader is not None:
            reader.close()
    facts: dict[str, Any] = {
        "output": str(output),
        "frames": report.frames,
        "classes": [{"index": r.index, "name": r.name} for r in network.regions],
        "warnings": report.warnings,
    }
    carry = report.carry[0] if agreement is not None and report.carry else report.carry
    confidence = getattr(carry, "confidence", None)
    if confidence:
        facts["confidence"] = {r.name: [round(c[r.index - 1], 3) for c in confidence] for r in network.regions[1:]}
    if agreement is not None:
        facts["agreement"] = agreement.figures()
        agreement.write_sheet(output / "check.png")
    for warning in report.warnings:
        print(f"segnst: warning: {warning}", file=sys.stderr)
    if json:
        print(json_module.dumps(facts, indent=2))
    elif not quiet:
        if agreement is not None:
            print(agreement.table(), file=sys.stderr)
        print(f"{report.frames} label maps", file=sys.stderr)
        print(output)


def _objects(
    input: Path,
    output: Path,
    detect: str,
    sam: bool,
    detector: str | None,
    device: str,
    offline: bool,
    overwrite: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Boxes from a detector, masks by a selector: every object a value of its own."""
    from segnst.assembly import memory_advice
    from segnst.cli.frame_progress import ProgressBar
    from segnst.device import choose_device
    from segnst.jobs.segment_objects import objects_to_folder
    from segnst.segmentation.from_settings import load_objects

    bar = ProgressBar(quiet)
    try:
        with memory_advice("this size"):
            selector = "sam" if sam else "grabcut"
            where = choose_device(device)
            objects = load_objects(
                detect.split(","), selector=selector, detector=detector, device=where, offline=offline
            )
            report = objects_to_folder(input, output, objects, overwrite=overwrite, progress=bar)
    finally:
        bar.close()
    for warning in report.warnings:
        print(f"segnst: warning: {warning}", file=sys.stderr)
    if json:
        classes = [{"index": r.index, "name": r.name} for r in objects.regions]
        facts = {"output": str(output), "frames": report.frames, "classes": classes, "warnings": report.warnings}
        print(json_module.dumps(facts, indent=2))
    elif not quiet:
        print(f"{report.frames} label maps", file=sys.stderr)
        print(output)
