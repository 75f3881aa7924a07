"""``segnst optimize`` and ``segnst reconstruct``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from segnst.cli.options import Device, Offline
from segnst.cli.printer import Printer, print_json

if TYPE_CHECKING:
    from segnst.jobs.optimize import OptimizeReport
    from segnst.study.reconstruct import ReconstructReport
    from segnst.study.sweep import SweepReport

Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Default: results/<stem>_<paintings>.<ext> of the input's kind.")
]
Features = Annotated[
    str, typer.Option(help="Perceptual network: vgg19, vgg16 (fetched), small (bundled), or a weights file.")
]
Every = Annotated[int | None, typer.Option(metavar="N", help="Keep every N-th step, as PNGs in <output>_steps/.")]
Gif = Annotated[Path | None, typer.Option(help="A film of the steps, as GIF.")]
Mp4 = Annotated[Path | None, typer.Option(help="A film of the steps, as MP4.")]
Curves = Annotated[Path | None, typer.Option(help="Curves of all losses: this PNG and a JSON beside it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Report on stdout as JSON, with the losses of every step.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no summary.")]


def _tell(report: OptimizeReport | SweepReport | ReconstructReport, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json(report)
    elif not quiet:
        if report.converged:
            print(f"converged after {report.steps} steps: nothing changed any more", file=sys.stderr)
        last = report.losses[-1]
        print(
            f"{report.steps} steps in {report.seconds:.1f} s on {report.features}: "
            f"content {last['content']:.4g}, style {last['style']:.4g}",
            file=sys.stderr,
        )
        for path in (report.output, *report.files):
            print(path)


def optimize(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="Still, or a short video.")],
    paintings: Annotated[
        list[str] | None, typer.Argument(metavar="[STYLE]…", help="Paintings (image files) for the whole frame.")
    ] = None,
    output: Output = None,
    regions: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads the annotation
        typer.Option("-s", "--style", help="REGION[,REGION]=PAINTING[*W][+PAINTING…][@STRENGTH]. Repeat it."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Evaluations of loss and gradient.")] = 300,
    max_size: Annotated[int, typer.Option(min=16, metavar="PX", help="Long side of the result.")] = 512,
    style_weights: Annotated[
        str | None, typer.Option(help="Of several paintings, separated by commas. Default: alike.")
    ] = None,
    features: Features = "vgg19",
    content_layers: Annotated[
        str, typer.Option(help="LAYER[:WEIGHT],… Default: relu4_2, or the deepest that is there before it.")
    ] = "",
    style_layers: Annotated[
        str, typer.Option(help="LAYER[:WEIGHT],… Default: relu1_1 to relu5_1, as far as they are there.")
    ] = "",
    content_weight: Annotated[float, typer.Option(help="Only the ratio to the others counts.")] = 1e3,
    style_weight: Annotated[float, typer.Option(help="The same.")] = 1e4,
    tv_weight: Annotated[float, typer.Option(help="Of total variation: more, smoother.")] = 100.0,
    temporal_weight: Annotated[float, typer.Option(help="Of steadiness, in a video.")] = 2e4,
    optimizer: Annotated[str, typer.Option(help="lbfgs or adam.")] = "lbfgs",
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = 0.02,
    init: Annotated[str, typer.Option(help="Start from content, style or noise.")] = "content",
    pooling: Annotated[str, typer.Option(help="max or avg.")] = "max",
    normalize: Annotated[bool, typer.Option("--normalize", help="Activations of mean one, as in the paper.")] = False,
    scales: Annotated[int, typer.Option(help="Coarse to fine in so many sizes; 0: by the picture's size.")] = 0,
    style_scale: Annotated[float, typer.Option(help="Size of the painting against the picture: larger strokes.")] = 1.0,
    frame_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of a video's later frames. Default: a quarter of --steps.")
    ] = None,
    keep_colors: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="luminance: paint it only; match: give the paintings the content's colors."),
    ] = None,
    segmenter: Annotated[str, typer.Option(help="What finds the regions: a name, or a path.")] = "deeplab",
    flow: Annotated[str, typer.Option(help="Optical flow of a video: dis or raft.")] = "dis",
    edge: Annotated[str, typer.Option(help="Borders: guided, feather:PX, hard, threshold:X.")] = "guided",
    start: Annotated[float | None, typer.Option(help="First second of a video.")] = None,
    end: Annotated[float | None, typer.Option(help="Second to stop before.")] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 1,
    every: Every = None,
    gif: Gif = None,
    mp4: Mp4 = None,
    curves: Curves = None,
    sweep: Annotated[
        str | None,
        typer.Option(metavar="NAME=A,B,…", help="The output is a grid (PNG) of pictures and curves, one a value."),
    ] = None,
    device: Device = "auto",
    offline: Offline = False,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Paint a still by optimization (Gatys 2016): the best picture, not the fastest.

    Examples: segnst optimize photo.jpg painting.jpg -o out.png
    segnst optimize photo.jpg -s car=a.jpg -s background=b.jpg -o out.png
    """
    from segnst.errors import UsageError
    from segnst.jobs.optimize import OptimizeOptions, optimize_file
    from segnst.jobs.optimize_film import FilmOptions
    from segnst.perceptual.objective import LossWeights, parse_layers
    from segnst.study.sweep import Sweep, optimize_sweep
    from segnst.style.optimization import OptimizeSettings

    try:
        shares = [float(w) for w in style_weights.split(",")] if style_weights else []
    except ValueError:
        raise UsageError(f"--style-weights must be numbers separated by commas, got '{style_weights}'.") from None
    losses = LossWeights(
        content_layers=parse_layers(content_layers), style_layers=parse_layers(style_layers),
        content_weight=content_weight, style_weight=style_weight, tv_weight=tv_weight,
        temporal_weight=temporal_weight, normalize=normalize,
    )  # fmt: skip
    settings = OptimizeSettings(
        steps=steps, frame_steps=frame_steps, optimizer=optimizer, init=init, pooling=pooling, scales=scales,  # type: ignore[arg-type]
        learning_rate=learning_rate, style_scale=style_scale, seed=seed, losses=losses,
    )  # fmt: skip
    options = OptimizeOptions(
        paintings=tuple(paintings or ()), styles=tuple(regions or ()), style_weights=tuple(shares),
        settings=settings, features=features, max_size=max_size, keep_colors=keep_colors, segmenter=segmenter,
        flow=flow, edge=edge, start=start, end=end, device=device, offline=offline,
    )  # fmt: skip
    film = FilmOptions(every, None, gif, mp4, curves, keep_steps=every is not None)
    report: OptimizeReport | SweepReport
    with Printer(quiet) as printer:
        if sweep is not None:
            report = optimize_sweep(
                content, output, options, sweep=Sweep.parse(sweep), film=film, overwrite=overwrite,
                context=printer.context,
            )  # fmt: skip
        else:
            report = optimize_file(content, output, options, film=film, overwrite=overwrite, context=printer.context)
    _tell(report, json, quiet)


def reconstruct(
    what: Annotated[str, typer.Argument(metavar="content|style", help="What to reconstruct from the features.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Whose features.")],
    layer: Annotated[str, typer.Option(help="LAYER; of style, all style layers up to it.")] = "relu4_2",
    output: Output = None,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Evaluations of loss and gradient.")] = 200,
    max_size: Annotated[int, typer.Option(min=16, metavar="PX", help="Long side of the result.")] = 384,
    features: Features = "vgg19",
    optimizer: Annotated[str, typer.Option(help="lbfgs or adam.")] = "lbfgs",
    pooling: Annotated[str, typer.Option(help="max or avg.")] = "max",
    tv_weight: Annotated[float, typer.Option(help="Of total variation, against 1000 of the loss.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 1,
    every: Every = None,
    gif: Gif = None,
    mp4: Mp4 = None,
    curves: Curves = None,
    device: Device = "auto",
    offline: Offline = False,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What a layer keeps of a picture: one with the same features, or the same Gram matrices, from noise."""
    from segnst.jobs.optimize_film import FilmOptions
    from segnst.study.reconstruct import ReconstructSettings, reconstruct_file
    from segnst.style.optimization import OptimizeSettings

    how = OptimizeSettings(steps=steps, optimizer=optimizer, pooling=pooling, init="noise", scales=1, seed=seed)  # type: ignore[arg-type]
    settings = ReconstructSettings(what, layer, how, tv_weight, features, max_size, device, offline)
    film = FilmOptions(every, None, gif, mp4, curves, keep_steps=every is not None)
    with Printer(quiet) as printer:
        report = reconstruct_file(image, output, settings, film=film, overwrite=overwrite, context=printer.context)
    _tell(report, json, quiet)
