"""``segnst segment``."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer


def segment(
    input: Annotated[Path, typer.Argument(metavar="INPUT", help="Video, still or folder of photos or frames.")],  # noqa: A002
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the label maps.")],
    segmenter: Annotated[str, typer.Option(help="A name, or the path of a trained one.")] = "deeplab",
    detect: Annotated[
        str | None, typer.Option("--detect", metavar="NAMES", help="Cut out these objects: person,dog. One value each.")
    ] = None,
    sam: Annotated[bool, typer.Option("--sam", help="With --detect: masks by SAM instead of GrabCut.")] = False,
    detector: Annotated[str | None, typer.Option(help="With --detect: what draws the boxes.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder that has label maps already.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Report on stdout as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no summary.")] = False,
) -> None:
    """Write one indexed PNG a frame, or one for each photo under its own name; pixel value = class index."""
    from segnst.cli.progress import ProgressBar
    from segnst.device import choose_device
    from segnst.errors import UsageError
    from segnst.run import load_objects, load_segmenter, memory_advice
    from segnst.segmentation.base import Segmenter
    from segnst.segmentation.objects_to_folder import objects_to_folder
    from segnst.segmentation.to_folder import segment_to_folder

    bar, where = ProgressBar(quiet), choose_device(device)
    if detect is None and (sam or detector):
        raise UsageError("--sam and --detector need --detect NAMES. Example: --detect person,dog --sam")
    try:
        with memory_advice("this size"):
            if detect is not None:
                objects = load_objects(
                    detect.split(","),
                    selector="sam" if sam else "grabcut",
                    detector=detector,
                    device=where,
                    offline=offline,
                )
                network: Segmenter = objects
                report = objects_to_folder(input, output, objects, overwrite=overwrite, progress=bar)
            else:
                network = load_segmenter(segmenter, where, offline=offline)
                report = segment_to_folder(input, output, network, overwrite=overwrite, progress=bar)
    finally:
        bar.close()
    for warning in report.warnings:
        print(f"segnst: warning: {warning}", file=sys.stderr)
    if json:
        classes = [{"index": r.index, "name": r.name} for r in network.regions]
        print(
            json_module.dumps(
                {"output": str(output), "frames": report.frames, "classes": classes, "warnings": report.warnings},
                indent=2,
            )
        )
    elif not quiet:
        print(f"{report.frames} label maps", file=sys.stderr)
        print(output)
