"""Any picture as a style: reading it, and finding its row of a collection (segnst.style.row_encoder)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import InputError, SegnstWarning, WeightsError, did_you_mean
from segnst.perceptual.encoders import SMALL, Encoder, load_encoder
from segnst.style.checkpoints import painting_of
from segnst.style.collection import Collection
from segnst.style.kept_rows import kept_row, place_of
from segnst.style.row_encoder import description
from segnst.untrusted import check_regular, is_file
from segnst.video.read import open_reader
from segnst.weights import sha256

# The training of row encoders describes pictures that are between 224 and 448 px wide, and at least 192 px high and
# wide (segnst.train.free_styles). The width decides the size of the strokes; paintings with rows of their own are
# learned at the largest.
WIDTH = 448
LEAST_SIDE = 192
SMALLEST = 32  # px: a smaller picture has no strokes to learn from
LONGEST = 6  # the most that a picture may be longer than wide, or the reverse; of longer ones the middle is used


@dataclass(frozen=True, slots=True)
class StylePicture:
    """A picture that serves as a style.

    rgb     [1,3,H,W] in [0,1], upright, on white where the file is transparent, at the size at which pictures are
            described and strokes are learned
    sha256  of the file
    row     the file of the style's refined row, or None where the style is as the encoder gives it
    """

    path: Path
    rgb: Tensor
    sha256: str
    row: Path | None = None


def read_style_picture(path: Path) -> StylePicture:
    """Read a picture of any format that segnst reads; of an animation, its first frame.

    Notes about the file become SegnstWarnings. Raises InputError when it is missing, damaged, too large or too small.
    """
    if not is_file(path) and not path.exists():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"The picture {path} does not exist.{did_you_mean(path.name, beside)}")
    check_regular(path, "picture")
    with open_reader(path, threaded=False) as reader:
        info = reader.info
        if min(info.storage_width, info.storage_height) < SMALLEST:
            raise InputError(
                f"The picture {path} has {info.storage_width}x{info.storage_height} px, too few for a style; each side "
                f"must have at least {SMALLEST} px."
            )
        clip = next(iter(reader))
        for note in reader.warnings if info.kind != "video" else ():
            warnings.warn(note, SegnstWarning, stacklevel=2)
    rgb = clip.rgb if clip.alpha is None else clip.rgb * clip.alpha + (1 - clip.alpha)
    return StylePicture(path, scaled(rgb), sha256(path))


def scaled(rgb: Tensor) -> Tensor:
    """The picture [1,3,h,w] at the size at which pictures are described; of a very long one, its middle."""
    height, width = rgb.shape[-2:]
    tall, wide = min(height, LONGEST * width), min(width, LONGEST * height)
    top, left = (height - tall) // 2, (width - wide) // 2
    middle = rgb[..., top : top + tall, left : left + wide]
    scale = max(WIDTH / wide, LEAST_SIDE / min(tall, wide))
    size = (round(tall * scale), round(wide * scale))
    return F.interpolate(middle, size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


@lru_cache(maxsize=1)
def _perceptual() -> Encoder:
    return load_encoder(SMALL)


@torch.no_grad()
def encoded_row(collection: Collection, picture: Tensor) -> Tensor:
    """The row [R] that a collection's encoder gives to a picture [1,3,h,w] that is ``scaled``.

    Raises WeightsError where the collection has no encoder, or one for another perceptual network.
    """
    if collection.encoder is None:
        raise WeightsError(
            f"{collection.path} has no encoder for pictures, so no picture can be a style of it. It gets one with "
            "segnst train collection … --free PAINTINGS."
        )
    found = description(_perceptual(), picture)
    if found.shape[1] != len(collection.encoder.center):
        raise WeightsError(
            f"The encoder of {collection.path} is for descriptions of {len(collection.encoder.center)} numbers; the "
            f"bundled perceptual network gives {found.shape[1]}. It was trained with another version of segnst."
        )
    row: Tensor = collection.encoder(found)[0]
    return row


@torch.no_grad()
def nearest_row(collection: Collection, picture: StylePicture) -> Tensor | None:
    """The row [R] of the style whose painting is described most like a picture; None if paintings are missing.

    For collections without an encoder: a start, from which the row is refined. Gives a SegnstWarning with the style.
    """
    paintings = [painting_of(collection.path, name, collection.metadata) for name in collection.names]
    found = [read_style_picture(path) for path in paintings if path is not None]
    if not found or len(found) < len(collection.names):
        return None
    described = torch.cat([description(_perceptual(), each.rgb) for each in (*found, picture)])
    spread = described[:-1].std(0).clamp_min(1e-3)
    near = int(((described[:-1] - described[-1]) / spread).square().mean(1).argmin())
    warnings.warn(
        f"{collection.path.name} has no encoder for pictures, so the style of {picture.path.name} begins as that of "
        f"'{collection.names[near]}', the nearest painting. segnst style adapts it before the run (--refine) and keeps "
        "it for later runs.",
        SegnstWarning,
        stacklevel=2,
    )
    return collection.net.rows()[near]


def row_of(collection: Collection, picture: StylePicture) -> tuple[Tensor, Path | None]:
    """The row [R] of a picture: one that was refined and kept, with its file, or the encoder's, or the nearest style's.

    Raises WeightsError.
    """
    numbers = collection.net.rows().shape[1]
    trunk = collection.trunk()
    kept = kept_row(trunk, picture.sha256, numbers)
    if kept is not None:
        return kept.row, place_of(trunk, picture.sha256)
    near = nearest_row(collection, picture) if collection.encoder is None else None
    return encoded_row(collection, picture.rgb) if near is None else near, None
