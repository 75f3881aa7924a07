"""Where a job writes: as the user says, or a name below ``results/`` that tells the input and its styles."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from segnst.errors import OutputError
from segnst.files import PICTURE_SUFFIXES
from segnst.plan import short_name
from segnst.video.images import is_still
from segnst.video.paths import VIDEO_FORMATS, check_output


def default_output(input_path: str | os.PathLike[str], styles: Sequence[str]) -> Path:
    """``results/<stem>_<styles>.<ext>``: the input's own kind where it can be written, else mp4.

    Styles may be names or paths of checkpoints (``segnst.plan.short_name``). A folder of frames gives a folder.
    """
    path = Path(input_path)
    words = [re.sub(r"[^\w-]+", "-", short_name(style)).strip("-") for style in styles]
    names = "_".join(dict.fromkeys(word for word in words if word)) or "styled"
    if path.is_dir():
        stem = (path.name or path.resolve().name).replace(".", "_")
        return Path("results") / f"{stem}_{names}"
    suffix = path.suffix.lower()
    if suffix not in VIDEO_FORMATS and (suffix not in PICTURE_SUFFIXES or _moves(path)):
        suffix = ".mp4"
    return Path("results") / f"{path.stem}_{names}{suffix}"


def _moves(path: Path) -> bool:
    """Whether a file with the name of a still is an animation (WebP and PNG may be)."""
    try:
        with path.open("rb") as file:
            return not is_still(file.read(64 * 1024))
    except OSError:
        return False


def output_path(
    path: Path,
    out: str | Path | None,
    styles: Sequence[str],
    *,
    overwrite: bool = False,
    default: Path | None = None,
) -> Path:
    """The output that a run in these styles may write: as given, or the default below ``results/``. Makes nothing.

    default  another name for the default. Raises OutputError.
    """
    if out is not None:
        return check_output(out, path, overwrite=overwrite)
    output = default or default_output(path, styles or ("original",))
    # its folder may be missing yet: see folder_for
    return check_output(output, path, overwrite=overwrite) if output.parent.exists() else output


@contextmanager
def folder_for(output: Path) -> Iterator[None]:
    """Make the folders above ``output`` that are missing; those that are empty are gone again after an error.

    To be entered only when a run is about to write, so that one that cannot begin leaves nothing. Raises OutputError.
    """
    missing = [parent for parent in (output.parent, *output.parent.parents) if not parent.exists()]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise OutputError(f"The folder {output.parent} cannot be made ({error.strerror}).") from error
    try:
        yield
    except BaseException:
        _remove_empty(missing)
        raise


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, the innermost first, as far as they are there and hold nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
