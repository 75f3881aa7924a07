"""``segnst bench``, all but stability."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from segnst.cli.from_settings import option
from segnst.cli.help import GroupedCommand
from segnst.cli.options import Device, Features, Json, Offline, Overwrite, Quiet, tell
from segnst.cli.printer import Printer
from segnst.config import FILES, WHAT

MEASURE = "Measuring"

app = typer.Typer(help="Benchmarks.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Benchmarks."""


def _room(output: Path | None) -> None:
    """Make the folder of an output before any work is done. Raises OutputError."""
    from segnst.errors import OutputError

    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {output.parent} cannot be created ({error.strerror}).") from error


def _give(text: str, report: dict[str, Any], output: Path | None, json: bool, quiet: bool, *, both: bool) -> None:
    """Figures on stdout, and as JSON into a file where one is named; ``both``: beside it the text, as Markdown."""
    from segnst.files import write_text

    data = json_module.dumps(report, indent=1)
    print(data if json else text)
    if output is None:
        return
    files = (
        {output.with_suffix(".json"): data + "\n", output.with_suffix(".md"): text} if both else {output: data + "\n"}
    )
    for path, content in files.items():
        write_text(path, content)
    tell(list(files), quiet)


@app.command(cls=GroupedCommand)
def collection(
    paintings: Annotated[Path, typer.Argument(metavar="PAINTINGS", help="Folder of the styles' paintings.")],
    listing: Annotated[
        Path | None,
        option("Which painting is which style (TOML), as it was trained with.", "--list", metavar="FILE", group=WHAT),
    ] = None,
    file: Annotated[
        Path | None, option("The collection. Default: the bundled one.", "--collection", metavar="FILE", group=WHAT)
    ] = None,
    singles: Annotated[
        list[str] | None,
        option("A network trained for one style alone. Repeat it.", "--single", metavar="STYLE=FILE", group=WHAT),
    ] = None,
    photos: Annotated[
        Path | None,
        option(
            "Photos to paint, none of the training's. Default: frames of the rendered clips.",
            metavar="DIR",
            group=WHAT,
        ),
    ] = None,
    count: Annotated[int, option("How many of them.", metavar="N", group=WHAT, min=1)] = 8,
    features: Features = "vgg19",
    output: Annotated[Path | None, option("Write X.json and X.md.", "-o", "--output", metavar="X", group=FILES)] = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Losses, artifacts, strength and speed of a collection; against single networks and a pass for each style."""
    from segnst.bench.collection import Alone, Judge, Picture, frames_of_clips, markdown, measure
    from segnst.errors import InputError, UsageError
    from segnst.perceptual.encoders import load_encoder
    from segnst.style.checkpoints import load_style
    from segnst.style.collection import load_collection
    from segnst.train.collection import read_paintings
    from segnst.train.photos import Photos, read_photo, resize_short
    from segnst.weights import bundled

    _room(output)
    loaded = load_collection(file or bundled("collection.safetensors"))
    pictures = {m.name: resize_short(read_photo(p), 384)[None] for p, m, _ in read_paintings(paintings, listing)}
    missing = [n for n in loaded.names if n not in pictures]
    if missing:
        raise InputError(f"{paintings} has no painting of the style '{missing[0]}'; --list says which file is which.")
    nets = []
    for text in singles or ():
        name, equals, path = text.partition("=")
        if not equals or name not in loaded.names:
            raise UsageError(f"--single takes STYLE=FILE with a style of the collection, got '{text}'.")
        nets.append(Alone(name, Path(path).stem, load_style(path).net))
    judge = Judge(load_encoder(features, offline=offline), pictures)
    if photos is None:
        chosen = frames_of_clips()[:count]
    else:
        paths = Photos([photos]).paths
        paths = paths[:: max(1, len(paths) // count)][:count]
        chosen = [Picture(p.stem, resize_short(read_photo(p), 288)[None]) for p in paths]
    pairs = list(zip(loaded.names[::2], loaded.names[1::2], strict=False))[:3]
    report = measure(loaded, judge, nets, chosen, pairs)
    _give(markdown(report), report, output, json, quiet=True, both=True)


@app.command(cls=GroupedCommand)
def gatys(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="A picture.")],
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="A painting.")],
    steps: Annotated[int, option("Evaluations of loss and gradient.", metavar="N", group=MEASURE, min=1)] = 300,
    max_size: Annotated[int, option("Long side.", metavar="PX", group=MEASURE, min=32)] = 512,
    repeats: Annotated[int, option("Runs of each, in turn.", metavar="N", group=MEASURE, min=1)] = 1,
    features: Features = "vgg19",
    output: Annotated[
        Path | None, option("The figures as JSON.", "-o", "--output", metavar="FILE", group=FILES)
    ] = None,
    device: Device = "auto",
    offline: Offline = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """`segnst optimize` against a plain optimization loop: time, and loss at full size."""
    from segnst.bench.gatys import measure
    from segnst.device import choose_device
    from segnst.errors import OutputError
    from segnst.files import write_text
    from segnst.perceptual.encoders import load_encoder
    from segnst.video.pictures import read_picture

    if output is not None and output.exists() and not overwrite:
        raise OutputError(f"{output} exists already; choose another name or allow --overwrite.")
    where = choose_device(device)
    facts = measure(
        lambda: load_encoder(features, offline=offline).to(where),
        read_picture(content, max_size, "content").to(where),
        read_picture(painting, max_size, "painting").to(where),
        steps=steps,
        repeats=repeats,
        report=lambda text: None if quiet else print(text, file=sys.stderr, flush=True),
    )
    text = json_module.dumps(facts, indent=1)
    if output is not None:
        write_text(output, text)
    print(text)


@app.command(cls=GroupedCommand)
def tracking(
    clips: Annotated[
        list[Path], typer.Argument(metavar="DIR…", help="Folders of frames with NAME_mask.png beside each frame.")
    ],
    frames: Annotated[int | None, option("Only the first so many frames.", metavar="N", group=FILES, min=2)] = None,
    device: Device = "auto",
    output: Annotated[
        Path | None, option("Also write JSON here.", "-o", "--output", metavar="FILE", group=FILES)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Follow an object whose true mask is given on the first frame; J and F of the frames that follow."""
    from segnst.bench.clips import gather
    from segnst.bench.tracking import follow_clips, table
    from segnst.device import choose_device

    _room(output)
    with Printer(quiet) as printer:
        report = follow_clips(gather(clips), device=choose_device(device), frames=frames, progress=printer.progress)
    _give(table(report), report, output, json, quiet, both=False)


@app.command(cls=GroupedCommand)
def selection(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="images/ with labels/ (values: `segnst classes`).")],
    region: Annotated[str, option("Whose label is cut out.", metavar="REGION", group=WHAT)] = "person",
    objects: Annotated[int, option("Only photos with so many of them; 0: all.", metavar="N", group=WHAT, min=0)] = 2,
    least: Annotated[
        float, option("Share of the picture that counts as one.", metavar="X", group=WHAT, min=0, max=1)
    ] = 0.03,
    every: Annotated[
        int, option("Every N-th photo by its name was held back from training.", metavar="N", group=WHAT, min=0)
    ] = 8,
    held_back: Annotated[bool, option("Only the photos that --every names.", "--held-back", group=WHAT)] = False,
    selector: Annotated[
        str, option("What cuts out: grabcut, sam or sam_vit_b.", metavar="NAME", group=MEASURE, complete="selector")
    ] = "grabcut",
    device: Device = "auto",
    offline: Offline = False,
    output: Annotated[
        Path | None, option("Also write JSON here.", "-o", "--output", metavar="FILE", group=FILES)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cut objects out of labeled photos by a box on each, as wide as its label; IoU with the label."""
    from segnst.bench.selection import measure_selection, table
    from segnst.device import choose_device

    _room(output)
    with Printer(quiet) as printer:
        report = measure_selection(
            folder, region=region, count=objects or None, least=least, every=every, held_only=held_back,
            selector=selector, device=choose_device(device), offline=offline, progress=printer.progress,
        )  # fmt: skip
    _give(table(report), report, output, json, quiet, both=False)
