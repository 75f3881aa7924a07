"""Opens the input of a job and chooses the path of its output: as the user says, or a name in ``results/``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

from segnst.config import Settings
from segnst.errors import OutputError, UsageError
from segnst.files import PICTURE_SUFFIXES
from segnst.plan import parse_plan, short_name
from segnst.temporaries import folders_made
from segnst.video.images import is_still
from segnst.video.paths import VIDEO_FORMATS, check_output, is_stdout
from segnst.video.pipes import STANDARD
from segnst.video.read import Reader, open_reader


def open_input(path: Path, settings: Settings, *, pipe: bool = False) -> Reader:
    """Open the input of a run as its settings say: range, size, rate of a folder, deinterlacing. Raises InputError.

    pipe  also take a named pipe or ``-`` (standard input)
    """
    return open_reader(
        path,
        start=settings.start,
        end=settings.end,
        max_size=settings.max_size,
        fps=settings.fps,
        deinterlace=settings.deinterlace,
        pipe=pipe,
    )


def default_output(input_path: str | os.PathLike[str], styles: Sequence[str]) -> Path:
    """Return ``results/<stem>_<styles>.<ext>``, with the input's suffix if that format can be written, else mp4.

    Styles are names, or paths of checkpoints, which are shortened (``segnst.plan.short_name``). For a folder of frames,
    the output is a folder.
    """
    path = Path("stdin" if is_stdin(input_path) else input_path)
    words = [re.sub(r"[^\w-]+", "-", short_name(style)).strip("-") for style in styles]
    names = "_".join(dict.fromkeys(word for word in words if word)) or "styled"
    if path.is_dir():
        stem = (path.name or path.resolve().name).replace(".", "_")
        return Path("results") / f"{stem}_{names}"
    suffix = path.suffix.lower()
    if suffix not in VIDEO_FORMATS and (suffix not in PICTURE_SUFFIXES or moves(path)):
        suffix = ".mp4"
    return Path("results") / f"{path.stem}_{names}{suffix}"


def is_stdin(input_path: str | os.PathLike[str]) -> bool:
    """Whether an input means standard input."""
    return os.fspath(input_path) == STANDARD


def moves(path: Path) -> bool:
    """Whether a file with the suffix of a still is an animation, as WebP and PNG files can be."""
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
    stdout: bool = False,
) -> Path:
    """Return the output of a run in these styles: ``out``, or else the default in ``results/``. Creates nothing.

    default  a path to use instead of ``default_output``
    stdout   whether ``out`` may be ``-``, standard output

    Raises OutputError if the output cannot be written or exists and ``overwrite`` is not set.
    """
    if out is not None:
        return check_output(out, path, overwrite=overwrite, stdout=stdout)
    output = default or default_output(path, styles or ("original",))
    # The folder of the default may not exist yet; ``folder_for`` creates it.
    return check_output(output, path, overwrite=overwrite) if output.parent.exists() else output


def check_apart(outputs: Mapping[str, str | Path | None], given: Sequence[str | Path | None] = ()) -> None:
    """Raise UsageError where two outputs (by what they are called) are one, and OutputError for what was given.

    Not even --overwrite is meant for an output that is a file or folder that was given, lies in one, or holds one.
    """
    named = {called: Path(path) for called, path in outputs.items() if path is not None and not is_stdout(path)}
    for (called, path), (other, second) in combinations(named.items(), 2):
        if _place(path) == _place(second):
            raise UsageError(f"{called} and {other} are both {second}; give each a name of its own.")
    for path in named.values():
        for each in given:
            if each is None or not Path(each).exists():
                continue
            if is_or_holds(path, Path(each)) or (path.exists() and is_or_holds(Path(each), path)):
                raise OutputError(f"The output {path} would replace {each}, which was given; choose another name.")


def is_or_holds(path: Path, given: Path) -> bool:
    """Whether ``path`` is the file or folder that was given, by any name, or a folder above it."""
    if path.exists() and path.samefile(given):
        return True
    return path.is_dir() and path.resolve() in given.resolve().parents


def _place(path: Path) -> str:
    return os.path.realpath(path)


def given_files(settings: Settings) -> tuple[str, ...]:
    """What the settings name that may be a file or folder of the user's: masks, strokes, weights."""
    named = (settings.masks, settings.masks_override, settings.foreground, settings.background)
    styles = parse_plan(settings.styles).styles if settings.styles else ()
    weights = [settings.segmenter, settings.segmenter.removeprefix("files:")]
    weights += [*styles, *(style.rpartition(":")[0] for style in styles)]
    # a folder that happens to have the name of a style is no checkpoint
    return (*(each for each in named if each), *(each for each in weights if Path(each).suffix or os.sep in each))


def looks_into_input(settings: Settings) -> bool:
    """Whether the models depend on the input: on what is pointed at, on masks of its frames, or on a refinement."""
    given = (settings.masks, settings.masks_override, settings.foreground, *settings.box, *settings.point)
    return any(given) or settings.segmenter.startswith("files:") or settings.refine > 0


@contextmanager
def folder_for(output: Path) -> Iterator[None]:
    """Create the missing parent folders of ``output``, and remove those that are still empty after an error.

    Enter this only when a run is about to write, so that a run that cannot begin leaves nothing behind.
    Raises OutputError.
    """
    if is_stdout(output):
        yield
        return
    missing = [parent for parent in (output.parent, *output.parent.parents) if not parent.exists()]
    with folders_made(missing):
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {output.parent} cannot be created ({error.strerror}).") from error
        yield
