"""Several inputs: what the files and folders that were named stand for, and what each output is called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

from segnst.config import Settings
from segnst.errors import InputError, OutputError, UsageError
from segnst.files import PICTURE_SUFFIXES
from segnst.jobs.outputs import default_output, is_or_holds, looks_into_input, moves
from segnst.untrusted import is_folder
from segnst.video.guard import reading
from segnst.video.images import FRAME_SUFFIXES, apart_from_masks, header_size, natural_key
from segnst.video.paths import VIDEO_FORMATS, is_folder_output

Kind = Literal["auto", "photos", "frames"]
FILM_SUFFIXES = frozenset(VIDEO_FORMATS) | {
    ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".ogv", ".3gp", ".mxf", ".dv", ".apng",
}  # fmt: skip
# The names that cameras give to photos (the rule DCF): four characters, of which one is a letter, and four digits.
_CAMERA = re.compile(r"(?=.{0,3}[A-Z])[A-Z0-9_]{4}\d{4}")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing to style.

    path    a film, a still, or a folder whose pictures are the frames of one film
    within  its place below the folder that was named, or its name alone
    """

    path: Path
    within: Path


@dataclass(slots=True)
class Inputs:
    """Everything to style, in order, and what the user should know about how it was understood."""

    found: list[Found] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def pictures_and_films(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures (without the masks beside them) and the films of a folder, in natural order. Raises InputError."""
    with reading(folder):
        files = [each for each in folder.iterdir() if not each.name.startswith(".") and each.is_file()]
    files.sort(key=natural_key)
    pictures, _ = apart_from_masks([each for each in files if each.suffix.lower() in FRAME_SUFFIXES])
    return pictures, [each for each in files if each.suffix.lower() in FILM_SUFFIXES]


def are_frames(pictures: Sequence[Path]) -> tuple[bool, str]:
    """Whether pictures are the frames of one film, judged by their names and sizes, and a reason to doubt it.

    Frames have one name and different numbers, which follow each other closely, and one size. Photos of a camera are
    numbered as well, but by a rule of their own.
    """
    words = [re.split(r"(\d+)", each.stem) for each in pictures]  # every second one is a number
    if (
        len(pictures) < 2
        or len({(len(w), *w[::2], p.suffix.lower()) for w, p in zip(words, pictures, strict=True)}) > 1
    ):
        return False, ""
    varying = [column for column in zip(*(w[1::2] for w in words), strict=True) if len(set(column)) > 1]
    if len(varying) != 1:
        return False, ""
    numbers = sorted(int(number[-18:]) for number in varying[0])
    steps = sorted(after - before for before, after in pairwise(numbers))
    if not steps[0] or numbers[-1] - numbers[0] > 2 * len(numbers) * steps[0]:
        return False, ""
    with reading(pictures[0].parent):
        sizes = {header_size(each) for each in pictures} - {None}
    if len(sizes) > 1:
        return False, ""
    if all(_CAMERA.fullmatch(each.stem) for each in pictures):
        return False, "their names are those that a camera gives to photos"
    return True, ""


def gather(
    inputs: Sequence[Path], *, kind: Kind = "auto", recursive: bool = False, leave_out: Path | None = None
) -> Inputs:
    """Find out what the named files and folders stand for.

    kind       photos: each picture of a folder by itself; frames: a folder is one film; auto: ``are_frames`` decides
    recursive  also look into the folders below
    leave_out  a folder below that is not looked into: where the outputs go

    Raises InputError for a folder with nothing to style. A file that is missing is found out when it is opened.
    """
    result = Inputs()
    for path in inputs:
        if not is_folder(path):
            result.found.append(Found(path, Path(path.name)))
            continue
        before = len(result.found)
        for folder in _folders(path, leave_out) if recursive else [path]:
            _look_into(folder, path, kind, result)
        if len(result.found) == before:
            more = "" if recursive else "; --recursive looks into the folders below it"
            raise InputError(f"The folder {path} holds no picture and no film{more}.")
    return result


def _folders(top: Path, leave_out: Path | None) -> Iterator[Path]:
    """A folder and those below it, without hidden ones and links, which could lead in circles."""
    yield top
    with reading(top):
        below = sorted((p for p in top.iterdir() if p.is_dir() and not p.is_symlink()), key=natural_key)
    for each in below:
        if not each.name.startswith(".") and not (leave_out and leave_out.exists() and each.samefile(leave_out)):
            yield from _folders(each, leave_out)


def _look_into(folder: Path, top: Path, kind: Kind, result: Inputs) -> None:
    pictures, films = pictures_and_films(folder)
    within = folder.relative_to(top)
    frames, doubt = are_frames(pictures) if kind == "auto" else (kind == "frames" and bool(pictures), "")
    if doubt:
        result.warnings.append(
            f"{folder} is read as {len(pictures)} photos, because {doubt}. If they are the frames of one film, say "
            "--as frames."
        )
    if frames:
        name = folder.name or folder.resolve().name
        result.found.append(Found(folder, within.parent / name if within.name else Path(name)))
    else:
        result.found += [Found(each, within / each.name) for each in pictures]
    result.found += [Found(each, within / each.name) for each in films]


def targets(found: Sequence[Found], output: Path | None, styles: Sequence[str]) -> list[Path]:
    """The output of each thing to style: below the folder ``output``, or the default in ``results/``.

    Raises UsageError if two of them would be the same file, and OutputError if one of them is an input.
    """
    if output is not None and not is_folder_output(output):
        raise UsageError(f"Several inputs need a folder as output, and {output} is one file; leave out its suffix.")
    if output is not None and output.exists() and not output.is_dir():
        raise OutputError(f"{output} exists already and is not a folder; choose another name.")
    made = [default_output(f.path, styles or ("original",)) if output is None else output / _name(f) for f in found]
    taken: dict[str, Found] = {}
    for each, target in zip(found, made, strict=True):
        other = taken.setdefault(str(target).casefold(), each)
        if other is not each:
            raise UsageError(
                f"{other.path} and {each.path} would both become {target}; style them in two runs with different -o."
            )
    for target in made:
        for each in found:
            if target.exists() and each.path.exists() and is_or_holds(target, each.path):
                raise OutputError(f"The output {target} would replace the input {each.path}; choose another folder.")
    return made


def _name(found: Found) -> Path:
    """The name of an output: that of its input, with another suffix only where the input's cannot be written."""
    suffix = found.path.suffix.lower()
    if found.path.is_dir():
        return found.within.with_name(found.within.name.replace(".", "_"))  # a folder of frames becomes another
    if suffix in VIDEO_FORMATS or (suffix in PICTURE_SUFFIXES and not moves(found.path)):
        return found.within
    return found.within.with_suffix(".png" if suffix in FRAME_SUFFIXES and not moves(found.path) else ".mp4")


def single(
    inputs: Sequence[Path], output: Path | None, settings: Settings, *, kind: Kind = "auto", recursive: bool = False
) -> Path | None:
    """The one film, still or folder of frames that is meant, or None if each input is to get an output of its own.

    Who names one film as the output, or points at something in the frames, means the frames of one film.
    """
    if len(inputs) != 1 or recursive:
        return None
    (path,) = inputs
    if not is_folder(path) or kind == "frames":
        return path
    pictures, films = pictures_and_films(path)
    if films or kind == "photos":
        return None
    one = (output is not None and not is_folder_output(output)) or looks_into_input(settings)
    return path if not pictures or one or are_frames(pictures)[0] else None
