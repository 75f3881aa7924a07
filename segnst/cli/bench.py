"""``segnst bench collection``, ``gatys``, ``tracking``, ``mattes`` and ``selection``."""

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

app = typer.Typer(help="Run benchmarks.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Run benchmarks."""


def _room(output: Path | None) -> None:
    """Create the folder of an output before any work is done. Raises OutputError."""
    from segnst.errors import OutputError

    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {output.parent} cannot be created ({error.strerror}).") from error


def _give(text: str, report: dict[str, Any], output: Path | None, json: bool, quiet: bool, *, both: bool) -> None:
    """Print the text, or the report as JSON, and write the report to ``output`` if that is given.

    both  write the report as ``output`` with .json and the text as ``output`` with .md
    """
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
    paintings: Annotated[Path, typer.Argument(metavar="PAINTINGS", help="Folder of the paintings of the styles.")],
    listing: Annotated[
        Path | None,
        option("Which painting is which style (TOML), as for training.", "--list", metavar="FILE", group=WHAT),
    ] = None,
    file: Annotated[
        Path | None,
        option("Collection to measure. Default: the bundled one.", "--collection", metavar="FILE", group=WHAT),
    ] = None,
    singles: Annotated[
        list[str] | None,
        option("Network trained for this style alone. Can be repeated.", "--single", metavar="STYLE=FILE", group=WHAT),
    ] = None,
    photos: Annotated[
        Path | None,
        option(
            "Photos to paint, which were not trained on. Default: frames of the rendered clips.",
            metavar="DIR",
            group=WHAT,
        ),
    ] = None,
    count: Annotated[int, option("Number of photos.", metavar="N", group=WHAT, min=1)] = 8,
    features: Features = "vgg19",
    output: Annotated[Path | None, option("Write X.json and X.md.", "-o", "--output", metavar="X", group=FILES)] = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Measure losses, artifacts, strength and speed of a collection.

    It is compared with networks of one style, and with one pass for each style.
    """
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
    content: Annotated[Path, typer.Argument(metavar="CONTENT", help="Picture to paint.")],
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="Painting whose style it gets.")],
    steps: Annotated[
        int, option("Number of evaluations of loss and gradient.", metavar="N", group=MEASURE, min=1)
    ] = 300,
    max_size: Annotated[int, option("Long side of the pictures.", metavar="PX", group=MEASURE, min=32)] = 512,
    repeats: Annotated[int, option("Number of runs of each method, in turn.", metavar="N", group=MEASURE, min=1)] = 1,
    features: Features = "vgg19",
    output: Annotated[
        Path | None, option("Also write the figures here as JSON.", "-o", "--output", metavar="FILE", group=FILES)
    ] = None,
    device: Device = "auto",
    offline: Offline = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Compare `segnst optimize` with a plain optimization loop: time, and loss at full size."""
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
        list[Path], typer.Argument(metavar="DIR…", help="Folders of frames, with NAME_mask.png for each frame.")
    ],
    frames: Annotated[
        int | None, option("Use only so many frames, from the first on.", metavar="N", group=FILES, min=2)
    ] = None,
    device: Device = "auto",
    output: Annotated[
        Path | None, option("Also write JSON here.", "-o", "--output", metavar="FILE", group=FILES)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Follow an object from its true mask on the first frame; measure J and F (DAVIS) of the later frames."""
    from segnst.bench.clips import gather
    from segnst.bench.tracking import follow_clips, table
    from segnst.device import choose_device

    _room(output)
    with Printer(quiet) as printer:
        report = follow_clips(gather(clips), device=choose_device(device), frames=frames, progress=printer.progress)
    _give(table(report), report, output, json, quiet, both=False)


@app.command(cls=GroupedCommand)
def mattes(
    clips: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CLIP…", help="Clips with exact alpha. Default: the rendered ones in videos/."),
    ] = None,
    edges: Annotated[
        str, option("Kinds of --edge to compare, separated by commas.", "--edges", metavar="HOW,…", group=WHAT)
    ] = "guided,matte",
    frames: Annotated[
        int | None, option("Use only so many frames, from the first on.", metavar="N", group=FILES, min=2)
    ] = None,
    device: Device = "auto",
    output: Annotated[Path | None, option("Write X.json and X.md.", "-o", "--output", metavar="X", group=FILES)] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw masks in several ways and compare them with exact alpha: SAD, MSE, gradient, connectivity, dtSSD, time."""
    from segnst.bench.matte_clips import markdown, matte_clips, measure_mattes
    from segnst.device import choose_device
    from segnst.stabilize.masks import Edge

    _room(output)
    names = [name.strip() for name in edges.split(",")]
    for name in names:
        Edge.parse(name)
    with Printer(quiet) as printer:
        report = measure_mattes(
            matte_clips(clips or ()), device=choose_device(device), edges=names, frames=frames,
            progress=printer.progress,
        )  # fmt: skip
    _give(markdown(report), report, output, json, quiet, both=True)


@app.command(cls=GroupedCommand)
def selection(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with images/ and labels/ (values: `segnst classes`).")
    ],
    region: Annotated[str, option("Region whose objects are cut out.", metavar="REGION", group=WHAT)] = "person",
    objects: Annotated[
        int, option("Use only photos with so many of them; 0: all photos.", metavar="N", group=WHAT, min=0)
    ] = 2,
    least: Annotated[
        float, option("Smallest share of the picture that counts as an object.", metavar="X", group=WHAT, min=0, max=1)
    ] = 0.03,
    every: Annotated[
        int, option("Every N-th photo, by its name, was held back from training.", metavar="N", group=WHAT, min=0)
    ] = 8,
    held_back: Annotated[bool, option("Use only the photos that were held back.", "--held-back", group=WHAT)] = False,
    selector: Annotated[
        str,
        option("What draws the masks: grabcut, sam or sam_vit_b.", metavar="NAME", group=MEASURE, complete="selector"),
    ] = "grabcut",
    device: Device = "auto",
    offline: Offline = False,
    output: Annotated[
        Path | None, option("Also write JSON here.", "-o", "--output", metavar="FILE", group=FILES)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cut objects out of labeled photos by the bounding boxes of their labels; measure the IoU with the labels."""
    from segnst.bench.selection import measure_selection, table
    from segnst.device import choose_device

    _room(output)
    with Printer(quiet) as printer:
        report = measure_selection(
            folder, region=region, count=objects or None, least=least, every=every, held_only=held_back,
            selector=selector, device=choose_device(device), offline=offline, progress=printer.progress,
        )  # fmt: skip
    _give(table(report), report, output, json, quiet, both=False)
