"""``segnst train segmenter``, ``instances`` and ``features``: the networks that see, not those that paint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segnst.cli.options import Device, Offline, Quiet, names_of
from segnst.cli.train import Data, Restart, Work


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
    teacher: Annotated[Path | None, typer.Option(help="A segmenter whose word on the photos is learned too.")] = None,
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
    from segnst.cli.training_progress import TrainingLines
    from segnst.device import choose_device
    from segnst.errors import UsageError
    from segnst.train.segmenter import SegmenterSettings, train_segmenter
    from segnst.train.segmenter_folders import DataFolder
    from segnst.train.segmenter_recipe import ask_teacher, train_from_recipe
    from segnst.weights import bundled

    report = None if quiet else TrainingLines("segmenter")
    where = str(choose_device(device))
    if recipe is not None:
        if data:
            raise UsageError("A recipe names its data itself; give either --recipe or --data.")
        print(train_from_recipe(recipe, out, device=where, restart=restart, report=report))
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
        restart=restart,
        card={"terms": terms},
        report=report,
    )
    print(path)


def instances(
    data: Annotated[
        list[Path],
        typer.Option("--data", metavar="DIR", help="PNGImages with PedMasks, or photos with COCO JSON. Repeat it."),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Run, curves, best.safetensors and its card.")
    ] = Path("work/instances"),
    classes: Annotated[
        str | None, typer.Option(help="Names, the first for what is no object. Default: what the data say.")
    ] = None,
    start: Annotated[
        str, typer.Option(help="Weights to start from: official (fetched), none (random), or a file.")
    ] = "official",
    network: Annotated[
        str, typer.Option(help="With --start none: maskrcnn_resnet50_fpn_v2, or maskrcnn_small to try things out.")
    ] = "maskrcnn_resnet50_fpn_v2",
    iterations: Annotated[int, typer.Option(min=1, help="Steps.")] = 500,
    batch: Annotated[int, typer.Option(min=1, help="Photos a step.")] = 2,
    learning_rate: Annotated[float, typer.Option(min=0)] = 0.005,
    seed: Annotated[int, typer.Option()] = 0,
    terms: Annotated[str, typer.Option(help="Terms of the data; for the card.")] = "not stated",
    device: Device = "auto",
    restart: Restart = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Train Mask R-CNN on your own objects, for --segmenter OUT/best.safetensors. Goes on where a run stopped."""
    from segnst.catalog import fetch_named
    from segnst.cli.training_progress import TrainingLines
    from segnst.device import choose_device
    from segnst.train.instances import InstanceSettings, train_instances

    weights: Path | None = Path(start)
    if start in ("official", "none"):
        weights = fetch_named("maskrcnn_resnet50_fpn_v2", offline=offline) if start == "official" else None
    path = train_instances(
        data,
        out,
        classes=names_of(classes) if classes else None,
        start=weights,
        network=network,
        settings=InstanceSettings(iterations=iterations, batch=batch, lr=learning_rate, seed=seed),
        device=str(choose_device(device)),
        restart=restart,
        card={"terms": terms},
        report=None if quiet else TrainingLines("instances"),
    )
    print(path)


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
    from segnst.cli.training_progress import TrainingLines
    from segnst.train.features import FeatureSettings, train_features

    target = Path(name.removesuffix(".safetensors"))
    settings = FeatureSettings(photos=photos, crop=crop, seed=seed)
    path = train_features(
        data, target.name, teacher=teacher, deep_teacher=deep_teacher, out=out / target.parent, work=work,
        settings=settings, terms=terms, restart=restart, overwrite=overwrite, offline=offline,
        report=None if quiet else TrainingLines(target.name, every=1, recent=0.0),
    )  # fmt: skip
    print(path)
