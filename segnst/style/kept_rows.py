"""Rows of pictures that ``--refine`` has improved, kept in ``$SEGNST_HOME``.

A row is a file ``rows/TRUNK/PICTURE.safetensors``, named by the SHA-256 of the weights that it belongs to and of the
picture, so that it is found again wherever the picture lies and for every collection with these weights.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from segnst.errors import OutputError, SegnstWarning, WeightsError
from segnst.untrusted import first_line, is_file, real
from segnst.weights import home_dir, read_tensors, write_tensors

FORMAT = "segnst-row"  # metadata key "format"
SHORT = 20  # hexadecimal digits of the trunk's checksum in the name of the folder


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A refined row.

    row      [R]
    seconds  for how long it was refined in all
    judge    the perceptual network whose losses were reduced
    """

    row: Tensor
    seconds: float
    judge: str


def place_of(trunk: str, picture: str) -> Path:
    """The file for the row of a picture; both are given by their SHA-256."""
    return home_dir() / "rows" / trunk[:SHORT] / f"{picture}.safetensors"


def kept_row(trunk: str, picture: str, numbers: int) -> KeptRow | None:
    """The kept row of ``numbers`` values, or None. A file that is damaged is ignored, with a SegnstWarning."""
    path = place_of(trunk, picture)
    if not is_file(path):
        return None
    try:
        tensors, metadata = read_tensors(path)
        if metadata.get("format") != FORMAT or "row" not in tensors or tensors["row"].shape != (numbers,):
            raise WeightsError(f"it holds no row of {numbers} numbers")
        return KeptRow(tensors["row"].float(), real(metadata.get("seconds", "0"), "seconds"), metadata.get("judge", ""))
    except (WeightsError, ValueError) as error:
        said = f"The refined row {path} is ignored: {first_line(error)}. Delete the file, or use --refine again."
        warnings.warn(said, SegnstWarning, stacklevel=2)
        return None


def check_place(trunk: str, picture: str) -> Path:
    """The file for a row, whose folder is made. Raises OutputError where that is not possible."""
    path = place_of(trunk, picture)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {path.parent} for refined rows cannot be made ({error.strerror}). Set SEGNST_HOME to a folder "
            "that can be written, or leave out --refine."
        ) from error
    return path


def keep_row(trunk: str, picture: str, kept: KeptRow, **facts: str) -> Path:
    """Write a row and return its file; ``facts`` are kept as metadata. Raises OutputError, WeightsError."""
    path = check_place(trunk, picture)
    metadata = {**facts, "format": FORMAT, "seconds": f"{kept.seconds:g}", "judge": kept.judge}
    write_tensors(path, {"row": kept.row}, metadata, half=False)
    return path
