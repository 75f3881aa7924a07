"""Input that is refused before any work, and the messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segnst.untrusted import MAX_PIXELS_VARIABLE
from tests.conftest import Run


@pytest.mark.parametrize("place", ["before", "behind", "joined"])
def test_the_limit_of_pixels_is_an_option_of_every_command(run: Run, material: Path, place: str) -> None:
    limit = ["--max-pixels=3071"] if place == "joined" else ["--max-pixels", "3071"]
    command = ["style", material / "photo.png", "-s", "original", "-o", "out.png"]
    code, _, err = run(*(limit + command if place == "before" else command + limit))
    assert code == 1 and "64x48" in err and "--max-pixels 3072" in err
    assert MAX_PIXELS_VARIABLE not in os.environ, "the next run has its own limit"
    code, _, err = run(*command[:1], *(a.replace("3071", "3072") for a in limit), *command[1:])
    assert code == 0, err


def test_frames_of_a_video_have_the_same_limit(run: Run, material: Path) -> None:
    code, _, err = run("--max-pixels", "100", "style", material / "clip.mp4", "-s", "original", "-o", "out.mp4")
    assert code == 1 and "64x64" in err and not Path("out.mp4").exists()


def test_an_unknown_style_and_an_unknown_class_are_wrong_usage(run: Run, material: Path) -> None:
    for entry in ("starry_nite", "zebra_crossing=starry_night", "background=starry_nite"):
        code, _, err = run("style", material / "photo.png", "-s", entry, "-o", "out.png", "--offline")
        assert code == 2, err
        assert len(err.splitlines()) == 1


def test_kinds_of_video_that_are_not_written_are_no_slips_of_pictures(run: Run, material: Path) -> None:
    for suffix in (".avi", ".ts", ".wmv"):
        code, _, err = run("style", material / "clip.mp4", "-s", "original", "-o", f"out{suffix}")
        assert code == 1 and "Did you mean" not in err and ".mkv" in err
    code, _, err = run("style", material / "clip.mp4", "-s", "original", "-o", "out.mp5")
    assert "Did you mean '.mp4'?" in err
