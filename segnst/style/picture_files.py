"""Telling pictures that serve as styles from checkpoints, without importing torch where the suffix says it."""

from __future__ import annotations

from pathlib import Path

from segnst.files import READ_SUFFIXES
from segnst.untrusted import is_file


def is_picture(path: Path) -> bool:
    """Whether a style's file is a picture and no checkpoint, by its suffix or its first bytes."""
    if path.suffix.lower() in READ_SUFFIXES:
        return True
    if not is_file(path):
        return False
    from segnst.video.images import is_still  # imports torch

    try:
        with path.open("rb") as file:
            return is_still(file.read(64))
    except OSError:
        return False  # reading the file as a checkpoint names the reason
