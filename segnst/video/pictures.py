"""Read and write single pictures, with helpful errors."""

from __future__ import annotations

from pathlib import Path

import cv2
from torch import Tensor

from segnst.errors import InputError, OutputError, did_you_mean
from segnst.files import PICTURE_SUFFIXES, write_bytes
from segnst.pixels import to_bytes
from segnst.untrusted import exists
from segnst.video.paths import check_output
from segnst.video.read import open_reader


def read_picture(path: str | Path, max_size: int | None = None, what: str = "picture") -> Tensor:
    """A picture, or the first frame of a video, as upright RGB [1,3,H,W] in [0,1]. Raises InputError.

    max_size  limit on the longer side in pixels
    what      what an error message calls the file
    """
    path = Path(path).expanduser()
    if not exists(path):
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        stems = {Path(name).stem: name for name in beside if Path(name).suffix.lower() in PICTURE_SUFFIXES}
        near = did_you_mean(path.name, beside) or did_you_mean(path.stem, stems)
        raise InputError(f"The {what} {path} does not exist.{near} Give the path of an image file.")
    with open_reader(path, max_size=max_size, threaded=False) as reader:
        return next(iter(reader)).rgb


def check_png(path: Path, *, overwrite: bool = False) -> Path:
    """Check that ``path`` is a PNG that can be written, and return it. Raises OutputError."""
    if path.suffix.lower() != ".png":
        raise OutputError(f"{path} must be a PNG; give it the suffix .png.")
    return check_output(path, None, overwrite=overwrite)


def write_picture(path: Path, rgb: Tensor) -> None:
    """Write RGB [1,3,H,W] or [3,H,W] in [0,1]; the file appears only when complete. Raises OutputError."""
    picture = cv2.cvtColor(to_bytes(rgb.reshape(rgb.shape[-3:])), cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(path.suffix.lower(), picture)
    if not ok:
        raise OutputError(f"{path} cannot be encoded.")
    write_bytes(path, data.tobytes())
