"""``segnst inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from segnst.cli.options import Device, Offline, names_of
from segnst.cli.printer import Printer, print_json

if TYPE_CHECKING:
    from segnst.study.edges import EdgesReport
    from segnst.study.inspect import InspectReport


def inspect(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Picture, or video (its first frames).")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="PNG or HTML page. Default: results/<stem>_inspect.png")
    ] = None,
    layers: Annotated[str, typer.Option(help="Layers to show, separated by commas. Default: relu1_1 to relu5_1.")] = "",
    channels: Annotated[int, typer.Option(min=1, max=16, help="Channels a layer.")] = 6,
    features: Annotated[
        str, typer.Option(help="Perceptual network: vgg19, vgg16 (fetched), small (bundled), or a weights file.")
    ] = "vgg19",
    segmenter: Annotated[str, typer.Option(help="Whose saliency: a name, or the path of a trained one.")] = "deeplab",
    region: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Class for the saliency. Default: the largest thing.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, max=200, help="Noisy copies for SmoothGrad.")] = 12,
    edges: Annotated[
        bool, typer.Option("--edges", help="Instead, every --edge of `segnst style` at 400 %, for the plan in -s.")
    ] = False,
    styles: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads the annotation
        typer.Option("-s", "--style", help="With --edges: REGION=STYLE, as for `segnst style`. Repeat it."),
    ] = None,
    max_size: Annotated[int | None, typer.Option(min=16, metavar="PX", help="Reduce the long side to this.")] = None,
    device: Device = "auto",
    offline: Offline = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Facts on stdout as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No summary.")] = False,
) -> None:
    """What the networks see of a picture: feature maps, Gram matrices, saliency, on one page."""
    from segnst.errors import UsageError

    if styles and not edges:
        raise UsageError("-s belongs to --edges.")
    report: EdgesReport | InspectReport
    with Printer(quiet) as printer:
        if edges:
            from segnst.config import Settings
            from segnst.study.edges import edges_file

            plan = Settings(
                styles=tuple(styles or ()), segmenter=segmenter, max_size=max_size or 640, device=device,
                offline=offline,
            )  # fmt: skip
            report = edges_file(image, output, plan, overwrite=overwrite, context=printer.context)
        else:
            from segnst.study.inspect import InspectSettings, inspect_file

            settings = InspectSettings(
                layers=names_of(layers), channels=channels, features=features, segmenter=segmenter, region=region,
                samples=samples, max_size=max_size or 384, device=device, offline=offline,
            )  # fmt: skip
            report = inspect_file(image, output, settings, overwrite=overwrite, context=printer.context)
    if json:
        print_json(report)
    elif not quiet:
        print(report.output)
