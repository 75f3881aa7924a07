"""``segnst bench``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Benchmarks.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Benchmarks."""


@app.command()
def stability(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIP…", help="Videos or folders of frames.")],
    styles: Annotated[list[str], typer.Option("-s", "--style", help="The plan, as for `segnst style`.")],
    stability: Annotated[float, typer.Option(help="How steady, 0 to 1.")] = 0.9,
    segmenter: Annotated[str, typer.Option(help="A name, or the path of a trained one.")] = "deeplab",
    raft: Annotated[Path | None, typer.Option(help="RAFT small weights to measure with; fetched otherwise.")] = None,
    frames: Annotated[int | None, typer.Option(min=2, help="Only the first so many frames.")] = None,
    max_size: Annotated[int | None, typer.Option(metavar="PX", help="Reduce the long side to this.")] = 640,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Also write the figures here (JSON).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Figures on stdout as JSON instead of a table.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
) -> None:
    """Warping error and sharpness of per-frame styling against stabilised, frames before encoding."""
    from segnst.bench.stability import measure_clip, table
    from segnst.cli.progress import ProgressBar
    from segnst.config import Settings
    from segnst.errors import OutputError

    settings = Settings(
        styles=tuple(styles),
        stability=stability,
        segmenter=segmenter,
        max_size=max_size,
        device=device,
        offline=offline,
    )
    results = []
    for clip in clips:
        bar = ProgressBar(quiet)
        try:
            results.append(measure_clip(clip, settings, raft=raft, frames=frames, progress=bar))
        finally:
            bar.close()
    text = json_module.dumps(results, indent=2)
    if output is not None:
        try:
            output.write_text(text + "\n")
        except OSError as error:
            raise OutputError(f"{output} cannot be written ({error.strerror}).") from error
    print(text if json else table(results))
