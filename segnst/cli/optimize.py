"""``segnst optimize`` and ``segnst reconstruct``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segnst.cli.ahead import check_ahead
from segnst.cli.from_settings import Only, option, with_options
from segnst.cli.options import Progress, Quiet
from segnst.cli.printer import Printer, print_json
from segnst.cli.streams import print_path
from segnst.config import FILES
from segnst.jobs.optimize_settings import OptimizeOptions
from segnst.perceptual.loss_weights import LossWeights
from segnst.study.settings import ReconstructOptimizing, ReconstructSettings
from segnst.style.optimization_settings import OPTIMIZING, OptimizeSettings

if TYPE_CHECKING:
    from segnst.jobs.optimize import OptimizeReport
    from segnst.study.reconstruct import ReconstructReport
    from segnst.study.sweep import SweepReport

STEPS = "The steps"
Output = Annotated[
    Path | None,
    option("File to write. Default: results/<stem>_<paintings>.<ext>", "-o", "--output", metavar="PATH", group=FILES),
]
Every = Annotated[int | None, option("Keep every N-th step as a PNG in <output>_steps/.", metavar="N", group=STEPS)]
Gif = Annotated[Path | None, option("Also write a film of the steps as GIF.", metavar="FILE", group=STEPS)]
Mp4 = Annotated[Path | None, option("Also write a film of the steps as MP4.", metavar="FILE", group=STEPS)]
Curves = Annotated[
    Path | None, option("Also write the curves of all losses as this PNG, and as JSON.", metavar="FILE", group=STEPS)
]
Overwrite = Annotated[bool, option("Replace existing outputs.", "--overwrite", group=FILES)]
Json = Annotated[bool, option("Print the report as JSON, with the losses of every step.", "--json", group=FILES)]


def _tell(report: OptimizeReport | SweepReport | ReconstructReport, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json(report)
    elif not quiet:
        if report.converged:
            print(f"converged after {report.steps} steps: the loss no longer changes", file=sys.stderr)
        last = report.losses[-1]
        print(
            f"{report.steps} steps in {report.seconds:.1f} s on {report.features}: "
            f"content {last['content']:.4g}, style {last['style']:.4g}",
            file=sys.stderr,
        )
        for path in (report.output, *report.files):
            print_path(path)


@with_options
def optimize(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="Still or short video to paint.")],
    options: OptimizeOptions,
    losses: LossWeights,
    settings: OptimizeSettings,
    paintings: Annotated[
        list[str] | None, typer.Argument(metavar="[STYLE]…", help="Paintings (image files) for the whole frame.")
    ] = None,
    sweep: Annotated[
        str | None,
        option(
            "Vary a setting; the output is a grid (PNG) with a picture and a curve for each value.",
            metavar="NAME=A,B,…",
            group=OPTIMIZING,
        ),
    ] = None,
    output: Output = None,
    overwrite: Overwrite = False,
    every: Every = None,
    gif: Gif = None,
    mp4: Mp4 = None,
    curves: Curves = None,
    json: Json = False,
    quiet: Quiet = False,
    progress: Progress = "auto",
) -> None:
    """Paint a picture by optimization (Gatys 2016), which is slow and gives the best quality.

    Examples:

    \b
    segnst optimize photo.jpg painting.jpg -o out.png
    segnst optimize photo.jpg -s car=a.jpg -s background=b.jpg -o out.png
    """
    check_ahead(content)
    from segnst.jobs.optimize import optimize_file
    from segnst.jobs.optimize_film import FilmOptions
    from segnst.study.sweep import Sweep, optimize_sweep

    options = replace(options, paintings=tuple(paintings or ()), settings=replace(settings, losses=losses))
    film = FilmOptions(every, None, gif, mp4, curves, keep_steps=every is not None)
    report: OptimizeReport | SweepReport
    with Printer(quiet, progress) as printer:
        if sweep is not None:
            report = optimize_sweep(
                content, output, options, sweep=Sweep.parse(sweep), film=film, overwrite=overwrite,
                context=printer.context,
            )  # fmt: skip
        else:
            report = optimize_file(content, output, options, film=film, overwrite=overwrite, context=printer.context)
    _tell(report, json, quiet)


@with_options
def reconstruct(
    what: Annotated[
        str, typer.Argument(metavar="content|style", help="What to reconstruct: the content or the style.")
    ],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Picture whose features are used.")],
    settings: ReconstructSettings,
    optimization: Annotated[ReconstructOptimizing, Only("steps", "optimizer", "pooling", "seed")],
    output: Output = None,
    overwrite: Overwrite = False,
    every: Every = None,
    gif: Gif = None,
    mp4: Mp4 = None,
    curves: Curves = None,
    json: Json = False,
    quiet: Quiet = False,
    progress: Progress = "auto",
) -> None:
    """Reconstruct a picture from noise so that a layer has the same features, or the same Gram matrices."""
    from segnst.jobs.optimize_film import FilmOptions
    from segnst.study.reconstruct import reconstruct_file

    settings = replace(settings, what=what, optimization=optimization)
    film = FilmOptions(every, None, gif, mp4, curves, keep_steps=every is not None)
    with Printer(quiet, progress) as printer:
        report = reconstruct_file(image, output, settings, film=film, overwrite=overwrite, context=printer.context)
    _tell(report, json, quiet)
