"""``segnst inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segnst.cli.from_settings import Given, like, option, with_options
from segnst.cli.options import Overwrite, Progress, Quiet, ReportJson
from segnst.cli.printer import Printer, print_json
from segnst.cli.streams import print_path
from segnst.config import FILES, WHAT, Settings
from segnst.study.settings import EdgesSettings, InspectSettings

if TYPE_CHECKING:
    from segnst.study.edges import EdgesReport
    from segnst.study.inspect import InspectReport


@with_options
def inspect(
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="Picture, or video of which the first frames are used.")
    ],
    given: Given[InspectSettings],
    edges: Annotated[
        bool,
        option(
            "Show all kinds of --edge of `segnst style` at 400 % instead, for the plan in -s.", "--edges", group=WHAT
        ),
    ] = False,
    styles: Annotated[
        list[str] | None,
        like(Settings, "styles", help="With --edges: the plan, as for `segnst style`. Can be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        option("PNG or HTML file. Default: results/<stem>_inspect.png", "-o", "--output", metavar="FILE", group=FILES),
    ] = None,
    overwrite: Overwrite = False,
    json: ReportJson = False,
    quiet: Quiet = False,
    progress: Progress = "auto",
) -> None:
    """Show what networks compute from a picture: feature maps, Gram matrices and saliency, on one page."""
    from segnst.errors import UsageError

    if styles and not edges:
        raise UsageError("-s is used only with --edges.")
    settings = given.build()
    report: EdgesReport | InspectReport
    with Printer(quiet, progress) as printer:
        if edges:
            from segnst.study.edges import edges_file

            size = settings.max_size if "max_size" in given.explicit else EdgesSettings().max_size
            plan = EdgesSettings(
                styles=tuple(styles or ()), segmenter=settings.segmenter, max_size=size, device=settings.device,
                offline=settings.offline,
            )  # fmt: skip
            report = edges_file(image, output, plan, overwrite=overwrite, context=printer.context)
        else:
            from segnst.study.inspect import inspect_file

            report = inspect_file(image, output, settings, overwrite=overwrite, context=printer.context)
    if json:
        print_json(report)
    elif not quiet:
        print_path(report.output)
