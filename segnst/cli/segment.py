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
    from segnst.run import load_segmenter, memory_advice
    from segnst.segmentation.to_folder import segment_to_folder

    network = load_segmenter(segmenter, choose_device(device), offline=offline)
    bar = ProgressBar(quiet)
    try:
        with memory_advice("this size"):
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
