"""``segnst evaluate``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from segnst.cli.from_settings import option
from segnst.cli.help import GroupedCommand

app = typer.Typer(help="Measure against ground truth.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Measure against ground truth."""


@app.command(cls=GroupedCommand)
def masks(
    prediction: Annotated[
        Path, typer.Argument(metavar="PRED_DIR", help="Predicted label maps, as `segnst segment` writes them.")
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH_DIR", help="True label maps under the same names.")],
    classes: Annotated[
        str | None,
        option(
            "Class names in the order of their values, separated by commas. Default: those of classes.json in "
            "PRED_DIR, or the nine bundled classes.",
            metavar="NAME,…",
        ),
    ] = None,
    output: Annotated[
        Path | None, option("Also write the figures here as JSON.", "-o", "--output", metavar="FILE")
    ] = None,
    json: Annotated[bool, option("Print the figures as JSON instead of a table.", "--json")] = False,
) -> None:
    """Measure IoU and boundary F of each class: predicted label maps against true ones (255 is ignored)."""
    from segnst.bench.masks import evaluate_masks, table
    from segnst.files import write_text

    names = [c.strip() for c in classes.split(",")] if classes else None
    result = evaluate_masks(prediction, truth, classes=names)
    text = json_module.dumps(result, indent=2)
    if output is not None:
        write_text(output, text + "\n")
    print(text if json else table(result))


@app.command(cls=GroupedCommand)
def mattes(
    prediction: Annotated[
        Path, typer.Argument(metavar="PRED_DIR", help="Alpha mattes: gray pictures, or ones with transparency.")
    ],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH_DIR", help="True mattes under the same names.")],
    output: Annotated[
        Path | None, option("Also write the figures here as JSON.", "-o", "--output", metavar="FILE")
    ] = None,
    json: Annotated[bool, option("Print the figures as JSON instead of a table.", "--json")] = False,
) -> None:
    """Measure alpha mattes: SAD, MSE, gradient, connectivity (Rhemann 2009) and dtSSD between successive frames."""
    from segnst.bench.mattes import evaluate_mattes, table
    from segnst.files import write_text

    result = evaluate_mattes(prediction, truth)
    text = json_module.dumps(result, indent=2)
    if output is not None:
        write_text(output, text + "\n")
    print(text if json else table({f"{result['frames']} frames": result["mean"]}))
