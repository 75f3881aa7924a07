"""``segnst train style`` and ``collection``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segnst.cli.options import Device, Offline, Quiet, names_of

app = typer.Typer(help="Train your own styles and segmenters.", no_args_is_help=True, rich_markup_mode=None)

Data = Annotated[list[Path], typer.Option("--data", metavar="DIR", help="Folder to learn from. Repeat it.")]
Work = Annotated[Path, typer.Option(help="Where checkpoints, curves and previews go; a run begun there goes on.")]
Restart = Annotated[bool, typer.Option("--restart", help="Begin anew instead of going on.")]


Features = Annotated[str, typer.Option(help="Perceptual network: vgg16, vgg19 (fetched), or a file.")]
DeepFeatures = Annotated[
    str | None, typer.Option(help="A second encoder, for larger strokes and for structure (file).")
]
Batch = Annotated[int, typer.Option(min=1, help="Crops a step.")]
Crop = Annotated[int, typer.Option(min=64, help="Side of a crop, px.")]
Width = Annotated[int, typer.Option(min=4, help="Channels of the first layer.")]
StyleSize = Annotated[int, typer.Option(min=64, help="Short side of the painting, px: larger, larger strokes.")]
ContentLayer = Annotated[str, typer.Option(help="Layer that --content-weight compares.")]
StyleLayers = Annotated[str, typer.Option(help="Layers whose Gram matrices are matched, separated by commas.")]
DeepLayers = Annotated[str, typer.Option(help="The same for --deep-features.")]
Weight = Annotated[float, typer.Option(min=0)]
Content = Annotated[float, typer.Option(min=0, help="How much of colors and contrast is kept.")]
Structure = Annotated[float, typer.Option(min=0, help="How much of shapes is kept.")]
Lattice = Annotated[float, typer.Option(min=0, help="Against the fine grid that upsampling leaves.")]
Spot = Annotated[float, typer.Option(min=0, help="Against bubbles on smooth surfaces.")]
Plain = Annotated[float, typer.Option(min=0, max=1, help="Share of crops that are plain surfaces.")]
Temporal = Annotated[float, typer.Option(min=0, help="Steadiness under motion.")]
StopAt = Annotated[int | None, typer.Option(min=1, help="End here, before all --iterations are done.")]
Terms = Annotated[str, typer.Option(help="Terms of paintings and photos; for the card.")]
Replace = Annotated[bool, typer.Option("--overwrite", help="Replace a style of this name.")]

# what a line of progress says of the losses
SHOWN = {"content": ("content", "structure"), "style": ("style",)}


@app.command()
def style(
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="The style image.")],
    data: Data,
    name: Annotated[
        str, typer.Option("-o", "--name", help="Name of the style; writes OUT/NAME.safetensors and its card.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path(),
    into: Annotated[
        Path | None, typer.Option(help="Add it to this collection, whose trunk stays as it is: minutes.")
    ] = None,
    work: Work = Path("work"),
    features: Features = "vgg19",
    deep_features: DeepFeatures = None,
    init: Annotated[Path | None, typer.Option(help="A style of the same width to start from: half the time.")] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Steps.")] = 400,
    stop_at: StopAt = None,
    batch: Batch = 3,
    crop: Crop = 192,
    width: Width = 32,
    style_size: StyleSize = 384,
    content_layer: ContentLayer = "relu3_3",
    style_layers: StyleLayers = "relu1_1,relu2_1,relu3_1,relu3_4",
    deep_layers: DeepLayers = "relu4_1",
    content_weight: Content = 1.0,
    structure_weight: Structure = 0.0,
    style_weight: Weight = 20.0,
    tv_weight: Weight = 0.0,
    lattice_weight: Lattice = 300.0,
    spot_weight: Spot = 3000.0,
    plain_share: Plain = 0.06,
    temporal_weight: Temporal = 3.0,
    learning_rate: Weight = 2e-3,
    seed: Annotated[int, typer.Option()] = 1,
    title: Annotated[str, typer.Option(help="Painter, title, year; for the card and the lists.")] = "",
    terms: Terms = "not stated",
    device: Device = "auto",
    restart: Restart = False,
    overwrite: Replace = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Train a transformer network for one painting, or add the painting to a collection.

    Goes on where an interrupted run stopped.
    """
    from dataclasses import replace

    from segnst.cli.training_progress import TrainingLines
    from segnst.device import choose_device
    from segnst.errors import InputError, UsageError
    from segnst.style.collection import Member
    from segnst.train.style import add_style, train_style
    from segnst.train.style_loss import StyleSettings

    target = Path(name.removesuffix(".safetensors"))
    out, name = out / target.parent, target.name
    if not painting.is_file():
        raise InputError(f"The painting {painting} does not exist.")
    if into is not None and init is not None:
        raise UsageError("--init and --into exclude each other: a collection's trunk stays as it is.")
    settings = StyleSettings(
        width=width, iterations=iterations, batch=batch, crop=crop, style_size=style_size, learning_rate=learning_rate,
        content_weight=content_weight, structure_weight=structure_weight, style_weight=style_weight,
        tv_weight=tv_weight, lattice_weight=lattice_weight, spot_weight=spot_weight,
        plain_share=plain_share, temporal_weight=temporal_weight, seed=seed, content_layer=content_layer,
        style_layers=names_of(style_layers), deep_layers=names_of(deep_layers),
    )  # fmt: skip
    report = None if quiet else TrainingLines(name, sums=SHOWN)
    if into is not None:
        # a trunk that stays as it is lets scales and shifts learn ten times as fast
        settings = replace(settings, style_rate=10.0)
        path = add_style(
            painting, data, Member(name, title=title, terms=terms), into, work=work, settings=settings,
            features=features, deep_features=deep_features, device=str(choose_device(device)), restart=restart,
            offline=offline, report=report, stop_at=stop_at, overwrite=overwrite,
        )  # fmt: skip
    else:
        path = train_style(
            painting, data, name, out=out, work=work, settings=settings, features=features,
            deep_features=deep_features, init=init, title=title, terms=terms, device=str(choose_device(device)),
            restart=restart, offline=offline, report=report, stop_at=stop_at, overwrite=overwrite,
        )  # fmt: skip
    print(path)


@app.command()
def collection(
    paintings: Annotated[Path, typer.Argument(metavar="PAINTINGS", help="Folder of style images.")],
    data: Data,
    name: Annotated[str, typer.Option("-o", "--name", help="Writes OUT/NAME.safetensors and its card.")] = "collection",
    listing: Annotated[
        Path | None, typer.Option("--list", help="Which paintings, their names and factors (TOML). Default: all.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path(),
    work: Work = Path("work"),
    features: Features = "vgg19",
    deep_features: DeepFeatures = None,
    init: Annotated[
        Path | None, typer.Option(help="A collection that has these styles, or a single style, to start from.")
    ] = None,
    free: Annotated[
        list[Path] | None, typer.Option(help="Folder of paintings, for painting after any picture. Repeat it.")
    ] = None,
    free_share: Annotated[float, typer.Option(min=0, max=1, help="Share of pictures painted after those.")] = 0.5,
    minutes: Annotated[float, typer.Option(min=0, help="Train so long instead of --iterations.")] = 0.0,
    teacher: Annotated[
        Path | None, typer.Option(help="A wider collection of the same styles to learn from as well (see --width).")
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Steps.")] = 4000,
    warmup: Annotated[
        int, typer.Option(min=0, help="First steps that repeat the photo, or what the teacher paints.")
    ] = 40,
    stop_at: StopAt = None,
    batch: Batch = 2,
    crop: Crop = 256,
    architecture: Annotated[str, typer.Option(help="painter, or transformer as in Johnson 2016.")] = "painter",
    cheap: Annotated[int, typer.Option(min=0, help="First steps that --deep-features judges alone.")] = 0,
    width: Width = 32,
    style_size: StyleSize = 448,
    content_layer: ContentLayer = "relu3_3",
    style_layers: StyleLayers = "relu1_1,relu2_1,relu3_1,relu3_4",
    deep_layers: DeepLayers = "relu4_1",
    content_weight: Content = 1.0,
    structure_weight: Structure = 0.0,
    style_weight: Weight = 20.0,
    tv_weight: Weight = 0.0,
    lattice_weight: Lattice = 300.0,
    spot_weight: Spot = 3000.0,
    plain_share: Plain = 0.06,
    temporal_weight: Temporal = 3.0,
    temporal_from: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the training after which --temporal-weight joins.")
    ] = 0.65,
    identity_steps: Annotated[
        int, typer.Option(min=0, help="Last steps, quick ones, that teach the identity alone.")
    ] = 200,
    teacher_weight: Annotated[float, typer.Option(min=0, help="How well the teacher's paint is repeated.")] = 300.0,
    learning_rate: Weight = 1e-3,
    style_rate: Annotated[float, typer.Option(min=0, help="Of scales and shifts, times the learning rate.")] = 3.0,
    seed: Annotated[int, typer.Option()] = 1,
    terms: Terms = "not stated",
    device: Device = "auto",
    restart: Restart = False,
    overwrite: Replace = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Train one network for all paintings of a folder: a trunk, and scales and shifts for each.

    Goes on where an interrupted run stopped. Several GPUs: torchrun --nproc-per-node N -m segnst train collection …
    """
    from segnst.cli.training_progress import TrainingLines
    from segnst.device import choose_device
    from segnst.train.collection import train_collection
    from segnst.train.style_loss import StyleSettings

    settings = StyleSettings(
        architecture=architecture, cheap=cheap, free_share=free_share if free else 0.0, minutes=minutes,
        width=width, iterations=iterations, batch=batch, crop=crop, style_size=style_size, learning_rate=learning_rate,
        style_rate=style_rate, content_weight=content_weight, structure_weight=structure_weight,
        style_weight=style_weight, tv_weight=tv_weight, lattice_weight=lattice_weight,
        spot_weight=spot_weight, plain_share=plain_share, temporal_weight=temporal_weight, temporal_from=temporal_from,
        identity_steps=identity_steps, teacher_weight=teacher_weight, warmup=warmup, seed=seed,
        content_layer=content_layer, style_layers=names_of(style_layers), deep_layers=names_of(deep_layers),
    )  # fmt: skip
    target = Path(name.removesuffix(".safetensors"))
    path = train_collection(
        paintings, data, target.name, listing=listing, out=out / target.parent, work=work, settings=settings,
        features=features, deep_features=deep_features, init=init, teacher=teacher, free=free or (), terms=terms,
        device=str(choose_device(device)), restart=restart, overwrite=overwrite, stop_at=stop_at,
        offline=offline, report=None if quiet else TrainingLines(target.name, sums=SHOWN),
    )  # fmt: skip
    print(path)
