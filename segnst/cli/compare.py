"""``segnst compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segnst.cli.options import Device, Offline
from segnst.cli.printer import Printer, print_json


def compare(
    contents: Annotated[list[Path], typer.Argument(metavar="CONTENT…", help="Pictures.")],
    painting: Annotated[Path, typer.Option(help="The painting that style losses are measured against.")],
    methods: Annotated[
        str, typer.Option(help="Separated by commas: lbfgs, adam, names of styles, paths of checkpoints.")
    ] = "lbfgs,adam",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="X", help="Writes X.json, X.md and X.png.", show_default="results/compare"
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of an optimization.")] = 200,
    max_size: Annotated[int, typer.Option(min=32, metavar="PX", help="Long side.")] = 512,
    features: Annotated[str, typer.Option(help="vgg19, vgg16, small or a weights file: measures all.")] = "vgg19",
    clip: Annotated[Path | None, typer.Option(help="Measure the temporal error on this video, too.")] = None,
    clip_frames: Annotated[int, typer.Option(min=2, help="Its first so many frames.")] = 6,
    clip_steps: Annotated[int, typer.Option(min=1, help="Steps of its first frame; later ones take a quarter.")] = 40,
    clip_size: Annotated[int, typer.Option(min=32, metavar="PX", help="Long side of its frames.")] = 256,
    raft: Annotated[Path | None, typer.Option(help="RAFT small weights to measure by; fetched otherwise.")] = None,
    show_painting: Annotated[
        bool, typer.Option("--show-painting/--hide-painting", help="The painting on the sheet, beside the pictures.")
    ] = True,
    device: Device = "auto",
    offline: Offline = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a report that exists.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The report on stdout as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
) -> None:
    """Optimization and networks on the same pictures: losses by layer, time, memory, steadiness, one sheet.

    Example: segnst compare street.jpg --painting night.jpg --methods lbfgs,starry_night,mine.safetensors -o study
    """
    from segnst.study.compare import CompareOptions, compare_files

    options = CompareOptions(
        painting=painting, methods=tuple(m.strip() for m in methods.split(",") if m.strip()), steps=steps,
        max_size=max_size, features=features, clip=clip, clip_frames=clip_frames, clip_steps=clip_steps,
        clip_size=clip_size, raft=raft, device=device, offline=offline,
        show_painting=show_painting,
    )  # fmt: skip
    with Printer(quiet) as printer:
        report = compare_files(contents, output, options, overwrite=overwrite, context=printer.context)
    if json:
        print_json(report, indent=1)
    elif not quiet:
        for path in report.files:
            print(path)
