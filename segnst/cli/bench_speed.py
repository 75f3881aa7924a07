"""``segnst bench speed``."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from segnst.bench.speed import SpeedSettings
from segnst.cli.from_settings import option, with_options
from segnst.cli.options import Json, Overwrite, Quiet, tell
from segnst.config import FILES, WHAT


@with_options
def speed(
    settings: SpeedSettings,
    clip: Annotated[
        Path | None, typer.Argument(metavar="[CLIP]", help="Video to style. Default: videos/street.mp4")
    ] = None,
    quick: Annotated[bool, option("Only 640x360, two styles and 6 frames.", "--quick", group=WHAT)] = False,
    output: Annotated[
        Path | None,
        option("Write X.json, X.md and the plot X.png.", "-o", "--output", metavar="X", group=FILES),
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure frames a second, processor time by stage, memory and start-up, beside a plain loop.

    All cases take turns in processes of their own. Compare shares of the plain loop, which are ratios of one run.
    """
    from segnst.bench.speed import measure
    from segnst.bench.speed_report import markdown, write
    from segnst.errors import OutputError
    from segnst.files import write_text
    from segnst.weights import bundled_dir

    if quick:
        settings = replace(settings, sizes=("640x360",), counts=(2,), frames=6)
    files = [output.with_suffix(s) for s in (".json", ".md", ".png")] if output is not None else []
    if taken := [f for f in files if f.exists() and not overwrite]:
        raise OutputError(f"{taken[0]} exists; replace it with --overwrite.")

    def say(line: str) -> None:
        if not quiet:
            print(line, file=sys.stderr)

    report = measure(clip or bundled_dir().parent / "videos" / "street.mp4", settings, say)
    text, data = markdown(report), json_module.dumps(report, indent=1)
    print(data if json else text)
    if files:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        write_text(files[0], data + "\n")
        write_text(files[1], text)
        write(report, files[2])
        tell(files, quiet)
