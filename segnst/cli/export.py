"""``segnst export``: networks for other programs."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from segnst.cli.from_settings import option
from segnst.cli.help import GroupedCommand
from segnst.cli.streams import print_path

app = typer.Typer(
    help="Write networks for programs that run them without segnst.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _group() -> None:
    """Keep ``onnx`` a command of its own while it is the only one."""


@app.command("onnx", cls=GroupedCommand)
def onnx(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Segmenter (deeplab, car_parts), or a style by name or file.")
    ],
    output: Annotated[Path, option("File to write.", "-o", "--output", metavar="FILE.onnx")],
    opset: Annotated[int, option("Version of ONNX's operators.", "--opset", metavar="N", min=13, max=20)] = 17,
    overwrite: Annotated[bool, option("Replace a file that exists.", "--overwrite")] = False,
    json: Annotated[bool, option("Print inputs, outputs and metadata as JSON.", "--json")] = False,
) -> None:
    """Write a segmenter, or the network of a style, as an ONNX file whose height and width are free.

    A style of a collection takes its network with all its styles; a second input, code, chooses or mixes them. The
    file's metadata name the classes or styles.
    """
    from segnst.export import export_onnx

    done = export_onnx(name, output, opset=opset, overwrite=overwrite)
    if json:
        print(json_module.dumps(asdict(done) | {"path": str(done.path)}, indent=2))
        return
    for kind, entries in (("input", done.inputs), ("output", done.outputs)):
        for each, shape in entries.items():
            print(f"{kind:6} {each:14} {shape}")
    print_path(done.path)
