"""The folder that masks are written into, which may hold other things of the user's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from segnst import interrupts, temporaries
from segnst.errors import OutputError
from segnst.jobs.outputs import is_or_holds

# What is written beside the masks themselves.
_FIXED = (
    "classes.json", "objects.json", "coco.json", "check.png", "overlay.mp4", "overlay", "alpha", "alpha.mov",
    "alpha.mkv", "alpha.webm", "soft16",
)  # fmt: skip


def check_mask_folder(input: Path, output: Path, overwrite: bool, given: Sequence[Path] = ()) -> None:
    """Raise OutputError if masks cannot go into ``output``, as far as that is known before there are any.

    given  files and folders that the run reads: the folder must be none of them
    """
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; name a folder for the label maps.")
    if not output.is_dir():
        return
    if input.exists() and input.samefile(output):
        raise OutputError("The label maps must not go into the folder that the photos come from.")
    for each in given:
        if each.exists() and output.samefile(each):
            raise OutputError(f"The output {output} would replace {each}, which was given; choose another name.")
    if overwrite:
        return
    if any(p.suffix == ".png" for p in output.rglob("*")):
        raise OutputError(f"{output} holds PNGs already. Choose another folder or pass --overwrite.")
    for name in _FIXED:
        if os.path.lexists(output / name):
            raise OutputError(f"{output / name} exists already. Choose another folder or pass --overwrite.")


def fill(output: Path, scratch: Path, *, overwrite: bool, given: Sequence[Path] = ()) -> None:
    """Move every file below ``scratch`` to the same place below ``output``, or none of them.

    Only files of the same names are replaced; nothing else in the folder is touched. Raises OutputError (a name is
    taken, belongs to what was given, or lies behind a link that leads elsewhere), OSError.
    """
    files = sorted(p for p in scratch.rglob("*") if p.is_file())
    targets = [output / p.relative_to(scratch) for p in files]
    with interrupts.deferred():
        for target in targets:
            _check(output, target, overwrite, given)
        moved: list[Path] = []
        try:
            for file, target in zip(files, targets, strict=True):
                target.parent.mkdir(parents=True, exist_ok=True)
                if overwrite:
                    file.replace(target)
                else:
                    temporaries.move_new(file, target)
                    moved.append(target)
        except OSError:
            for target in moved:
                target.unlink(missing_ok=True)
            raise
        temporaries.note_finished(output)


def _check(output: Path, target: Path, overwrite: bool, given: Sequence[Path]) -> None:
    for parent in target.relative_to(output).parents:
        between = output / parent
        if parent.parts and (between.is_symlink() or (between.exists() and not between.is_dir())):
            what = "a link" if between.is_symlink() else "a file"
            raise OutputError(f"{between} is {what}, and masks would go into a folder of that name; choose another.")
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise OutputError(f"{target} exists already. Choose another folder or pass --overwrite.")
    if target.is_dir() and not target.is_symlink():
        raise OutputError(f"{target} is a folder, and a file of that name would be written; choose another.")
    for each in given:
        if each.exists() and is_or_holds(each, target):
            raise OutputError(f"{target} belongs to what was given, so it is not replaced; choose another folder.")
