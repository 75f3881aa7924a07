"""Options that several commands share: what the user points at, masks from files, where and how loud to run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

# typer reads the annotations: Optional and list as they stand
Boxes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--box",
        metavar="[NAME:]X,Y,W,H[@TIME]",
        help="An object, by a box round it (px), followed through the clip as the region NAME (object). Repeat it.",
    ),
]
Points = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--point", metavar="[NAME:]X,Y[@TIME]", help="A pixel of the object. Repeat it."),
]
NotPoints = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--not-point", metavar="[NAME:]X,Y[@TIME]", help="A pixel beside the object. Repeat it."),
]
Foreground = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(metavar="MASK.png", help="Strokes on the object (not black) of the frame's shape."),
]
Background = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(metavar="MASK.png", help="Strokes beside the object."),
]
AtTime = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--at", metavar="TIME", help="Where in the clip it was pointed: seconds (2.5) or a frame (60f)."),
]
Masks = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(metavar="PATH", help="Masks from files: a folder of PNGs, a mask video, a still, COCO JSON."),
]
Override = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        metavar="DIR",
        help="Label maps (000012.png) that win on their frames and tell those beside them. In a mask of 0 and 255, "
        "255 is the first region; else values are the segmenter's classes.",
    ),
]
MaskClasses = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="NAME,NAME…", help="Names of the values in --masks, in order."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")]
NAMES = ("box", "point", "not_point", "foreground", "background", "at", "masks", "masks_override", "mask_classes")


def as_text(given: Mapping[str, Any]) -> dict[str, str | None]:
    """Paths as the settings hold them."""
    return {
        name: None if given[name] is None else str(given[name])
        for name in ("foreground", "background", "masks", "masks_override")
    }


def names_of(text: str) -> tuple[str, ...]:
    """What a list of names, separated by commas, holds."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def tell(written: Sequence[Path], quiet: bool) -> None:
    """Say on stderr which files were written."""
    if not quiet:
        print("wrote " + ", ".join(map(str, written)), file=sys.stderr)
