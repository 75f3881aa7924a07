"""``segnst train style`` and ``segnst train collection``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from segnst.cli.from_settings import Given, Without, option, with_options
from segnst.cli.help import GroupedCommand
from segnst.cli.options import Device, Features, Offline, Quiet
from segnst.cli.streams import print_path
from segnst.config import FILES, RUNNING, WHAT
from segnst.perceptual.loss_weights import LOSSES
from segnst.train.settings import TRAINING, AddedStyleSettings, CollectionSettings, StyleSettings

app = typer.Typer(help="Train your own styles and segmenters.", no_args_is_help=True, rich_markup_mode=None)

Data = Annotated[
    list[Path],
    option("Folder of photos to train on. Can be repeated.", "--data", metavar="DIR", group=WHAT),
]
Out = Annotated[Path, option("Folder in which the result is written.", metavar="DIR", group=FILES)]
Work = Annotated[
    Path,
    option(
        "Folder for checkpoints, curves and previews; an interrupted run in it is resumed.", metavar="DIR", group=FILES
    ),
]
Restart = Annotated[bool, option("Start over instead of resuming.", "--restart", group=RUNNING)]
DeepFeatures = Annotated[
    str | None,
    option("A second perceptual network, for larger strokes and for structure.", metavar="FILE", group=LOSSES),
]
StopAt = Annotated[
    int | None,
    option("Stop after so many steps, although --iterations are planned.", min=1, metavar="N", group=TRAINING),
]
Terms = Annotated[
    str,
    option("Terms of use of the training material, for the card.", metavar="TEXT", group=WHAT),
]
Replace = Annotated[
    bool,
    option("Replace an existing result of this name.", "--overwrite", group=FILES),
]


# the sums of losses that a line of progress shows
SHOWN = {"content": ("content", "structure"), "style": ("style",)}


@app.command(cls=GroupedCommand)
@with_options
def style(
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="The style image.")],
    data: Data,
    name: Annotated[
        str,
        option(
            "Name of the style; writes OUT/NAME.safetensors and its card.", "-o", "--name", metavar="NAME", group=WHAT
        ),
    ],
    given: Annotated[
        Given[StyleSettings],
        Without(
            "architecture",
            "cheap",
            "style_rate",
            "identity_steps",
            "teacher_weight",
            "warmup",
            "temporal_from",
            "free_share",
            "minutes",
        ),
    ],
    out: Out = Path(),
    into: Annotated[
        Path | None,
        option(
            "Add the style to this collection, whose trunk is kept; takes minutes. The name of a bundled one, such as "
            "collection, adds it to a copy in $SEGNST_HOME, which is used in its place.",
            metavar="FILE|NAME",
            group=WHAT,
        ),
    ] = None,
    work: Work = Path("work"),
    features: Features = "vgg19",
    deep_features: DeepFeatures = None,
    init: Annotated[
        Path | None,
        option("Style of the same width to start from, which halves the time.", metavar="FILE", group=WHAT),
    ] = None,
    stop_at: StopAt = None,
    title: Annotated[
        str,
        option("Painter, title and year, for the card and the lists.", metavar="TEXT", group=WHAT),
    ] = "",
    terms: Terms = "not stated",
    device: Device = "auto",
    restart: Restart = False,
    overwrite: Replace = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Train a transformer network for one painting, or add the painting to a collection.

    An interrupted run is resumed.
    """
    from segnst.cli.training_progress import TrainingLines
    from segnst.errors import InputError, UsageError
    from segnst.style.collection import Member
    from segnst.train.added_style import add_style
    from segnst.train.style import train_style

    settings = given.build()
    target = Path(name.removesuffix(".safetensors"))
    out, name = out / target.parent, target.name
    if not painting.is_file():
        raise InputError(f"The painting {painting} does not exist.")
    if into is not None and init is not None:
        raise UsageError("--init and --into cannot be combined, because --into keeps the trunk of the collection.")
    if into is not None and "width" in given.explicit:
        raise UsageError("--width and --into cannot be combined, because --into keeps the network of the collection.")
    report = None if quiet else TrainingLines(name, sums=SHOWN)

    def tell(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    if into is not None:
        path = add_style(
            painting, data, Member(name, title=title, terms=terms), into, work=work,
            settings=AddedStyleSettings(**given.values), features=features, deep_features=deep_features, device=device,
            restart=restart, offline=offline, report=report, stop_at=stop_at, overwrite=overwrite, tell=tell,
        )  # fmt: skip
    else:
        path = train_style(
            painting, data, name, out=out, work=work, settings=settings, features=features,
            deep_features=deep_features, init=init, title=title, terms=terms, device=device, restart=restart,
            offline=offline, report=report, stop_at=stop_at, overwrite=overwrite, tell=tell,
        )  # fmt: skip
    print_path(path)


@app.command(cls=GroupedCommand)
@with_options
def collection(
    paintings: Annotated[Path, typer.Argument(metavar="PAINTINGS", help="Folder of style images.")],
    data: Data,
    settings: CollectionSettings,
    name: Annotated[
        str,
        option("Writes OUT/NAME.safetensors and its card.", "-o", "--name", metavar="NAME", group=WHAT),
    ] = "collection",
    listing: Annotated[
        Path | None,
        option("Paintings to use, their names and factors (TOML). Default: all.", "--list", metavar="FILE", group=WHAT),
    ] = None,
    out: Out = Path(),
    work: Work = Path("work"),
    features: Features = "vgg19",
    deep_features: DeepFeatures = None,
    init: Annotated[
        Path | None,
        option("Collection that has these styles, or single style, to start from.", metavar="FILE", group=WHAT),
    ] = None,
    free: Annotated[
        list[Path] | None,
        option(
            "Folder of paintings for learning to use any picture as a style. Can be repeated.",
            metavar="DIR",
            group=WHAT,
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        option(
            "Collection of the same styles, usually a wider one (--width), to learn from as well.",
            metavar="FILE",
            group=WHAT,
        ),
    ] = None,
    stop_at: StopAt = None,
    terms: Terms = "not stated",
    device: Device = "auto",
    restart: Restart = False,
    overwrite: Replace = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Train one network for all paintings of a folder: a shared trunk, with scales and shifts for each painting.

    An interrupted run is resumed. For several GPUs: torchrun --nproc-per-node N -m segnst train collection …
    """
    from segnst.cli.training_progress import TrainingLines
    from segnst.train.collection import train_collection

    target = Path(name.removesuffix(".safetensors"))
    path = train_collection(
        paintings, data, target.name, listing=listing, out=out / target.parent, work=work, settings=settings,
        features=features, deep_features=deep_features, init=init, teacher=teacher, free=free or (), terms=terms,
        device=device, restart=restart, overwrite=overwrite, stop_at=stop_at, offline=offline,
        report=None if quiet else TrainingLines(target.name, sums=SHOWN),
    )  # fmt: skip
    print_path(path)
