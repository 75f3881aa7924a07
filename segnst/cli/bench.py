"""``segnst bench``, all but stability."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from segnst.cli.options import Device, Offline, Quiet, tell
from segnst.cli.printer import Printer

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
            raise OutputError(f"The folder {output.parent} cannot be made ({error.strerror}).") from error


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


@app.command()
def collection(
    paintings: Annotated[Path, typer.Argument(metavar="PAINTINGS", help="Folder of the styles' paintings.")],
    listing: Annotated[
        Path | None, typer.Option("--list", help="Which painting is which style (TOML), as it was trained with.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--collection", help="The collection. Default: the bundled one.")] = None,
    singles: Annotated[
        list[str] | None,
        typer.Option("--single", metavar="STYLE=FILE", help="A network trained for one style alone. Repeat it."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(help="Photos to paint, none of the training's. Default: frames of the rendered clips."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many of them.")] = 8,
    features: Annotated[
        str, typer.Option(help="Perceptual network that judges: vgg19 (fetched), or a file.")
    ] = "vgg19",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write X.json and X.md.")] = None,
    offline: Offline = False,
    json: Annotated[bool, typer.Option("--json", help="Figures on stdout as JSON instead of tables.")] = False,
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


@app.command()
def gatys(
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="A picture.")],
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="A painting.")],
    steps: Annotated[int, typer.Option(min=1, help="Evaluations of loss and gradient.")] = 300,
    max_size: Annotated[int, typer.Option(min=32, metavar="PX", help="Long side.")] = 512,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each, in turn.")] = 1,
    features: Annotated[str, typer.Option(help="vgg19, vgg16, small or a weights file.")] = "vgg19",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The figures as JSON.")] = None,
    device: Device = "auto",
    offline: Offline = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
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


@app.command()
def tracking(
    clips: Annotated[
        list[Path], typer.Argument(metavar="DIR…", help="Folders of frames with NAME_mask.png beside each frame.")
    ],
    frames: Annotated[int | None, typer.Option(min=2, help="Only the first so many frames.")] = None,
    device: Device = "auto",
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Also write JSON here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Figures on stdout as JSON instead of a table.")] = False,
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


@app.command()
def selection(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="images/ with labels/ (values: `segnst classes`).")],
    region: Annotated[str, typer.Option(help="Whose label is cut out.")] = "person",
    objects: Annotated[int, typer.Option(min=0, help="Only photos with so many of them; 0: all.")] = 2,
    least: Annotated[float, typer.Option(min=0, max=1, help="Share of the picture that counts as one.")] = 0.03,
    every: Annotated[int, typer.Option(min=0, help="Every n-th photo by its name was held back from training.")] = 8,
    held_back: Annotated[bool, typer.Option("--held-back", help="Only those.")] = False,
    selector: Annotated[str, typer.Option(help="grabcut, sam or sam_vit_b.")] = "grabcut",
    device: Device = "auto",
    offline: Offline = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Also write JSON here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Figures on stdout as JSON instead of a table.")] = False,
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
