"""``segnst train segmenter``, ``instances`` and ``features``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from segnst.cli.from_settings import option, with_options
from segnst.cli.options import Device, Offline, Quiet, names_of
from segnst.cli.streams import print_path
from segnst.cli.train import Data, Out, Replace, Restart, Terms, Work
from segnst.config import FILES, WHAT
from segnst.train.settings import FeatureSettings, InstanceSettings, SegmenterSettings

RunFolder = Annotated[
    Path,
    option("Folder for the run, its curves, best.safetensors and its card.", "-o", "--out", metavar="DIR", group=FILES),
]


@with_options
def segmenter(
    settings: SegmenterSettings,
    data: Annotated[
        list[Path] | None,
        option(
            "images/ with labels/ (PNG), or photos with COCO JSON. Can be repeated.",
            "--data",
            metavar="DIR",
            group=WHAT,
        ),
    ] = None,
    out: RunFolder = Path("work/segmenter"),
    recipe: Annotated[
        Path | None,
        option("Recipe (TOML) of data, teachers and settings, instead of --data.", metavar="FILE", group=WHAT),
    ] = None,
    classes: Annotated[
        str | None,
        option("Class names in the order of their label values, separated by commas.", metavar="NAME,…", group=WHAT),
    ] = None,
    start: Annotated[
        Path | None,
        option("Weights to start from. Default: the bundled segmenter.", metavar="FILE", group=WHAT),
    ] = None,
    teacher: Annotated[
        Path | None,
        option("Segmenter whose predictions on the photos are learned as well.", metavar="FILE", group=WHAT),
    ] = None,
    terms: Terms = "not stated",
    device: Device = "auto",
    restart: Restart = False,
    quiet: Quiet = False,
) -> None:
    """Train or fine-tune a DeepLabV3. An interrupted run is resumed."""
    from segnst.cli.training_progress import TrainingLines
    from segnst.errors import UsageError
    from segnst.train.segmenter import train_segmenter
    from segnst.train.segmenter_folders import DataFolder
    from segnst.train.segmenter_recipe import ask_teacher, train_from_recipe
    from segnst.weights import bundled

    report = None if quiet else TrainingLines("segmenter")
    if recipe is not None:
        if data:
            raise UsageError("A recipe already names its data: give either --recipe or --data.")
        print(train_from_recipe(recipe, out, device=device, restart=restart, report=report))
        return
    names = [c.strip() for c in classes.split(",")] if classes else None
    folders = [DataFolder(path) for path in data or ()]
    if teacher is not None:
        folders = ask_teacher(folders, teacher, out / "soft", classes=names)
    path = train_segmenter(
        folders,
        out,
        classes=names,
        start=start or bundled("deeplab_street.safetensors"),
        settings=settings,
        device=device,
        restart=restart,
        card={"terms": terms},
        report=report,
    )
    print_path(path)


@with_options
def instances(
    settings: InstanceSettings,
    data: Annotated[
        list[Path],
        option(
            "PNGImages/ with PedMasks/, or photos with COCO JSON. Can be repeated.", "--data", metavar="DIR", group=WHAT
        ),
    ],
    out: RunFolder = Path("work/instances"),
    classes: Annotated[
        str | None,
        option("Class names, first that of the background. Default: those of the data.", metavar="NAME,…", group=WHAT),
    ] = None,
    start: Annotated[
        str,
        option("Weights to start from: official (fetched), none (random), or a file.", metavar="NAME|FILE", group=WHAT),
    ] = "official",
    network: Annotated[
        str,
        option(
            "With --start none: maskrcnn_resnet50_fpn_v2, or maskrcnn_small for quick trials.",
            metavar="NAME",
            group=WHAT,
        ),
    ] = "maskrcnn_resnet50_fpn_v2",
    terms: Terms = "not stated",
    device: Device = "auto",
    restart: Restart = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Train Mask R-CNN on your own objects, to use as --segmenter OUT/best.safetensors.

    An interrupted run is resumed.
    """
    from segnst.catalog import fetch_named
    from segnst.cli.training_progress import TrainingLines
    from segnst.train.instances import train_instances

    weights: Path | None = Path(start)
    if start in ("official", "none"):
        weights = fetch_named("maskrcnn_resnet50_fpn_v2", offline=offline) if start == "official" else None
    path = train_instances(
        data,
        out,
        classes=names_of(classes) if classes else None,
        start=weights,
        network=network,
        settings=settings,
        device=device,
        restart=restart,
        card={"terms": terms},
        report=None if quiet else TrainingLines("instances"),
    )
    print_path(path)


@with_options
def features(
    settings: FeatureSettings,
    data: Data,
    name: Annotated[
        str,
        option("Writes OUT/NAME.safetensors and its card.", "-o", "--name", metavar="NAME", group=WHAT),
    ],
    out: Out = Path(),
    work: Work = Path("work"),
    teacher: Annotated[
        str, option("Weights of VGG19: vgg19 (fetched), or a file.", metavar="NAME|FILE", group=WHAT)
    ] = "vgg19",
    deep_teacher: Annotated[
        str | None,
        option("Encoder for the layers that --teacher lacks.", metavar="FILE", group=WHAT),
    ] = None,
    terms: Terms = "not stated",
    restart: Restart = False,
    overwrite: Replace = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Distill a small perceptual network from VGG19. An interrupted run is resumed."""
    from segnst.cli.training_progress import TrainingLines
    from segnst.train.features import train_features

    target = Path(name.removesuffix(".safetensors"))
    path = train_features(
        data, target.name, teacher=teacher, deep_teacher=deep_teacher, out=out / target.parent, work=work,
        settings=settings, terms=terms, restart=restart, overwrite=overwrite, offline=offline,
        report=None if quiet else TrainingLines(target.name, every=1, recent=0.0),
    )  # fmt: skip
    print_path(path)
