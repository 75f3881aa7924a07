"""Names of outputs: what can be known about them before any work is done."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from segnst.errors import OutputError, UsageError, did_you_mean
from segnst.files import PICTURE_SUFFIXES
from segnst.video.pipes import STANDARD

# FFmpeg's muxer for each suffix.
VIDEO_FORMATS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".gif": "gif",
    ".y4m": "yuv4mpegpipe",
}  # fmt: skip
# FFmpeg's muxer for each value of --format: what can be written without ever going back.
STREAM_FORMATS = {
    "y4m": "yuv4mpegpipe", "mpegts": "mpegts", "mkv": "matroska", "nut": "nut", "webm": "webm", "mp4": "mp4",
}  # fmt: skip
# Formats that people know and may expect here.
_OTHERS = {
    ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".ogv", ".3gp", ".mxf", ".dv",
    ".heic", ".avif", ".jxl", ".jp2", ".apng", ".psd",
}  # fmt: skip
# What segnst calls the frames that it puts into a folder, where they have no names of their own.
_FRAME = re.compile(r"(frame|step)_[0-9]{5,}\.png")


def is_stdout(output: str | os.PathLike[str]) -> bool:
    """Whether an output means standard output."""
    return os.fspath(output) == STANDARD


def is_folder_output(output: str | os.PathLike[str]) -> bool:
    """Whether an output means a folder of PNGs: no suffix, a slash at its end, or a folder already."""
    text = os.fspath(output)
    return text.endswith(("/", os.sep)) or not Path(text).suffix or Path(text).is_dir()


def check_output(
    output: str | os.PathLike[str],
    input_path: str | os.PathLike[str] | None,
    *,
    overwrite: bool = False,
    stdout: bool = False,
) -> Path:
    """Return ``output`` as a path if it can be written, as far as that can be known beforehand.

    Raises OutputError: unknown suffix, exists already, is the input (by name, symlink or hard link),
    lies in a folder that is missing or may not be written to, is ``-`` and ``stdout`` (the permission to write to
    standard output) is not given. Writes nothing.
    """
    path = Path(output)
    if is_stdout(path):
        if not stdout:
            raise OutputError(
                f"{STANDARD} means standard output, which this cannot be written to; name a file or folder instead."
            )
        return path
    suffix = path.suffix.lower()
    folder = is_folder_output(output)
    if not folder and suffix not in VIDEO_FORMATS and suffix not in PICTURE_SUFFIXES:
        known = sorted({*VIDEO_FORMATS, *PICTURE_SUFFIXES})
        # A suffix that others write is no slip for a similar one.
        near = f" segnst does not write {suffix[1:]}." if suffix in _OTHERS else did_you_mean(suffix, known)
        raise OutputError(
            f"{path} has the unknown suffix '{path.suffix}'.{near} Known are "
            f"{', '.join(known)}, or none for a folder of PNGs."
        )
    if input_path is not None and _same(path, Path(input_path)):
        raise OutputError(f"The output {path} is the input; give another name.")
    parent = path.parent
    if not parent.exists():
        raise OutputError(f"The folder {parent} for the output does not exist; create it first.")
    if not parent.is_dir():
        raise OutputError(f"{parent} is not a folder, so {path.name} cannot be written into it.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"The folder {parent} may not be written to: permission denied.")
    if path.is_symlink() and not path.exists():
        raise OutputError(f"{path} is a link to something that does not exist.")
    if path.exists():
        _check_existing(path, folder, overwrite, None if input_path is None else Path(input_path))
    return path


def check_format(format: str | None, output: Path | None) -> None:
    """Raise UsageError unless ``format`` can be the format of ``output``: it is for standard output only."""
    if format is None:
        return
    if output is None or not is_stdout(output):
        raise UsageError("--format is for -o - (standard output); the suffix of a file says its format.")
    if format not in STREAM_FORMATS:
        raise UsageError(
            f"There is no format '{format}' for standard output.{did_you_mean(format, STREAM_FORMATS)} Known are "
            f"{', '.join(STREAM_FORMATS)}."
        )


def _check_existing(path: Path, folder: bool, overwrite: bool, input_path: Path | None) -> None:
    if not folder:
        if not overwrite:
            raise OutputError(f"{path} exists already; choose another name or allow --overwrite.")
        return
    if not path.is_dir():
        raise OutputError(f"{path} exists already and is not a folder; choose another name.")
    if input_path is not None and input_path.exists() and path.resolve() in input_path.resolve().parents:
        raise OutputError(f"The output folder {path} holds the input; choose another name.")
    names: set[str] = set()
    if input_path is not None and input_path.is_dir():
        names = {f"{p.stem}.png" for p in input_path.iterdir()}  # frames keep the names that they come with
    check_folder(path, names, overwrite=overwrite)


def check_folder(path: Path, names: Collection[str], *, overwrite: bool) -> None:
    """Raise OutputError unless a folder of frames called ``names`` may take the place of ``path``.

    A folder is replaced as a whole, so anything but frames of an earlier run in it would be lost.
    """
    if not path.is_dir():
        if os.path.lexists(path):
            raise OutputError(f"{path} exists already and is not a folder; choose another name.")
        return
    for each in sorted(path.iterdir()):
        if not overwrite:
            raise OutputError(
                f"The folder {path} exists already and is not empty; choose another or allow --overwrite."
            )
        if not (each.name in names or _FRAME.fullmatch(each.name)) or not each.is_file():
            raise OutputError(
                f"The folder {path} also holds {each.name}, which --overwrite would delete; choose another."
            )


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
