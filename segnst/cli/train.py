"""``segnst train style``, ``segnst train segmenter`` and ``segnst train features``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Train your own styles and segmenters.", no_args_is_help=True, rich_markup_mode=None)

Data = Annotated[list[Path], typer.Option("--data", metavar="DIR", help="Folder to learn from. Repeat it.")]
Work = Annotated[Path, typer.Option(help="Where checkpoints, curves and previews go; a run begun there goes on.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Restart = Annotated[bool, typer.Option("--restart", help="Begin anew instead of going on.")]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@app.command()
def style(
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="The style image.")],
    data: Data,
    name: Annotated[
        str, typer.Option("-o", "--name", help="Name of the style; writes OUT/NAME.safetensors and its card.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path(),
    work: Work = Path("work"),
    features: Annotated[str, typer.Option(help="Perceptual network: vgg16, vgg19 (fetched), or a file.")] = "vgg19",
    deep_features: Annotated[str | None, typer.Option(help="A second encoder, for larger strokes (file).")] = None,
    init: Annotated[Path | None, typer.Option(help="A style of the same width to start from: half the time.")] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Steps.")] = 400,
    stop_at: Annotated[int | None, typer.Option(min=1, help="End here, before all --iterations are done.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 3,
    crop: Annotated[int, typer.Option(min=64, help="Side of a crop, px.")] = 192,
    width: Annotated[int, typer.Option(min=4, help="Channels of the first layer.")] = 32,
    style_size: Annotated[
        int, typer.Option(min=64, help="Short side of the painting, px: larger, larger strokes.")
    ] = 384,
    style_layers: Annotated[
        str, typer.Option(help="Layers whose Gram matrices are matched, separated by commas.")
    ] = "relu1_1,relu2_1,relu3_1,relu3_4",
    deep_layers: Annotated[str, typer.Option(help="The same for --deep-features.")] = "relu4_1",
    content_weight: Annotated[float, typer.Option(min=0)] = 5.0,
    style_weight: Annotated[float, typer.Option(min=0)] = 12.0,
    deep_weight: Annotated[float, typer.Option(min=0)] = 4.0,
    tv_weight: Annotated[float, typer.Option(min=0)] = 0.05,
    temporal_weight: Annotated[float, typer.Option(min=0, help="Steadiness under motion.")] = 10.0,
    learning_rate: Annotated[float, typer.Option(min=0)] = 2e-3,
    seed: Annotated[int, typer.Option()] = 1,
    title: Annotated[str, typer.Option(help="Painter, title, year; for the card and the lists.")] = "",
    terms: Annotated[str, typer.Option(help="Terms of painting and photos; for the card.")] = "not stated",
    device: Device = "auto",
    restart: Restart = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a style of this name.")] = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Train a transformer network for one painting. Goes on where an interrupted run stopped."""
    from segnst.device import choose_device
    from segnst.errors import InputError
    from segnst.train.style import StyleSettings, train_style

    target = Path(name.removesuffix(".safetensors"))
    out, name = out / target.parent, target.name
    if not painting.is_file():
        raise InputError(f"The painting {painting} does not exist.")
    settings = StyleSettings(
        width=width, iterations=iterations, batch=batch, crop=crop, style_size=style_size, learning_rate=learning_rate,
        content_weight=content_weight, style_weight=style_weight, deep_weight=deep_weight, tv_weight=tv_weight,
        temporal_weight=temporal_weight, seed=seed, style_layers=_names(style_layers), deep_layers=_names(deep_layers),
    )  # fmt: skip
    path = train_style(
        painting, data, name, out=out, work=work, settings=settings, features=features, deep_features=deep_features,
        init=init, title=title, terms=terms, device=str(choose_device(device)), restart=restart, offline=offline,
        quiet=quiet, stop_at=stop_at, overwrite=overwrite,
    )  # fmt: skip
    print(path)


@app.command()
def segmenter(
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="DIR", help="images/ with labels/ (PNG), or photos with COCO JSON. Repeat it."),
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Run, curves, best.safetensors and its card.")
    ] = Path("work/segmenter"),
    recipe: Annotated[Path | None, typer.Option(help="Recipe (TOML) that names data, teachers and settings.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Names in order of their label values, separated by commas.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Weights to start from. Default: the bundled segmenter.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="A segmenter whose word on the photos is learnt too.")] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Steps.")] = 2000,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 8,
    crop: Annotated[int, typer.Option(min=65, help="Side of a crop, px.")] = 321,
    learning_rate: Annotated[float, typer.Option(min=0)] = 1e-4,
    class_weights: Annotated[str | None, typer.Option(help="A number for each class, separated by commas.")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    terms: Annotated[str, typer.Option(help="Terms of the data; for the card.")] = "not stated",
    device: Device = "auto",
    restart: Restart = False,
    quiet: Quiet = False,
) -> None:
    """Train or fine-tune a DeepLabV3. Goes on where an interrupted run stopped."""
    from segnst.device import choose_device
    from segnst.errors import UsageError
    from segnst.train.segmenter import SegmenterSettings, train_segmenter
    from segnst.train.segmenter_folders import DataFolder
    from segnst.train.segmenter_recipe import ask_teacher, train_from_recipe
    from segnst.weights import bundled

    def report(iteration: int, values: dict[str, float]) -> None:
        if not quiet and (iteration % 10 == 0 or any(name.startswith("IoU") for name in values)):
            figures = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
            print(f"{iteration}  {figures}", file=sys.stderr, flush=True)

    where = str(choose_device(device))
    resume = (out / "run.pt").exists() and not restart
    if recipe is not None:
        if data:
            raise UsageError("A recipe names its data itself; give either --recipe or --data.")
        print(train_from_recipe(recipe, out, device=where, resume=resume, report=report))
        return
    try:
        weights = tuple(float(w) for w in class_weights.split(",")) if class_weights else ()
    except ValueError:
        raise UsageError(f"--class-weights must be numbers separated by commas, got '{class_weights}'.") from None
    names = [c.strip() for c in classes.split(",")] if classes else None
    settings = SegmenterSettings(
        iterations=iterations, batch=batch, crop=crop, lr=learning_rate, seed=seed, class_weights=weights
    )
    folders = [DataFolder(path) for path in data or ()]
    if teacher is not None:
        folders = ask_teacher(folders, teacher, out / "soft", classes=names)
    path = train_segmenter(
        folders,
        out,
        classes=names,
        start=start or bundled("deeplab_street.safetensors"),
        settings=settings,
        device=where,
        resume=resume,
        card={"terms": terms},
        report=report,
    )
    print(path)


@app.command()
def features(
    data: Data,
    name: Annotated[str, typer.Option("-o", "--name", help="Writes OUT/NAME.safetensors and its card.")],
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path(),
    work: Work = Path("work"),
    teacher: Annotated[str, typer.Option(help="VGG19: vgg19 (fetched), or a file.")] = "vgg19",
    deep_teacher: Annotated[
        str | None, typer.Option(help="An encoder for the layers beyond the teacher's last (file).")
    ] = None,
    photos: Annotated[int, typer.Option(min=4, help="Crops that every layer is fitted on.")] = 150,
    crop: Annotated[int, typer.Option(min=32, help="Side of a crop, px.")] = 160,
    seed: Annotated[int, typer.Option()] = 1,
    terms: Annotated[str, typer.Option(help="Terms of teachers and photos; for the card.")] = "not stated",
    restart: Restart = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a network of this name.")] = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Distil a small perceptual network from VGG19. Goes on where an interrupted run stopped."""
    from segnst.train.features import FeatureSettings, train_features

    target = Path(name.removesuffix(".safetensors"))
    settings = FeatureSettings(photos=photos, crop=crop, seed=seed)
    path = train_features(
        data, target.name, teacher=teacher, deep_teacher=deep_teacher, out=out / target.parent, work=work,
        settings=settings, terms=terms, restart=restart, overwrite=overwrite, offline=offline, quiet=quiet,
    )  # fmt: skip
    print(path)
