"""Options that name a file to read, given files that cannot be read: a clear message, no output and no hang."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segnst.video import pipes
from tests.conftest import Run

PAINT = ("style", "photo.png", "-o", "out.png")
CAR = ("-s", "car=original", "-s", "background=starry_night")
BOX = ("--segmenter", "grabcut", "--box", "10,10,20,20")
QUICK = ("--steps", "1", "--max-size", "32", "--features", "vgg.safetensors", "--offline")
STUDY = (
    "compare",
    "photo.png",
    "-o",
    "out",
    "--offline",
    "--methods",
    "adam",
    "--features",
    "vgg.safetensors",
    "--steps",
    "1",
)

# BAD stands for the file; with "dir", the option takes a folder, or takes one as well
COMMANDS: dict[str, tuple[str, ...]] = {
    "style INPUT dir": ("style", "BAD", "-o", "out.mp4", "-s", "original"),
    "style -s": (*PAINT, "-s", "BAD"),
    "style -s PATH:NAME": (*PAINT, "-s", "BAD:night"),
    "style --plan": (*PAINT, "-s", "original", "--plan", "BAD"),
    "style --segmenter": (*PAINT, *CAR, "--segmenter", "BAD"),
    "style --foreground": (*PAINT, "-s", "object=starry_night", "--segmenter", "grabcut", "--foreground", "BAD"),
    "style --background": (*PAINT, "-s", "object=starry_night", *BOX, "--background", "BAD"),
    "style --masks dir": (*PAINT, "-s", "object=starry_night", "--masks", "BAD"),
    "style --masks-override dir": (*PAINT, *CAR, "--masks-override", "BAD"),
    "segment INPUT dir": ("segment", "BAD", "-o", "out"),
    "segment --segmenter": ("segment", "photo.png", "-o", "out", "--segmenter", "BAD"),
    "segment --segmenter files:": ("segment", "photo.png", "-o", "out", "--segmenter", "files:BAD"),
    "segment --check": ("segment", "photo.png", "-o", "out", "--segmenter", "kmeans:2", "--check", "BAD"),
    "segment --masks dir": ("segment", "photo.png", "-o", "out", "--masks", "BAD"),
    "segment --masks-override dir": ("segment", "photo.png", "-o", "out", "--masks-override", "BAD"),
    "optimize CONTENT": ("optimize", "BAD", "red.png", "-o", "out.png", *QUICK),
    "optimize STYLE": ("optimize", "photo.png", "BAD", "-o", "out.png", *QUICK),
    "optimize --features": ("optimize", "photo.png", "red.png", "-o", "out.png", "--offline", "--features", "BAD"),
    "reconstruct IMAGE": ("reconstruct", "content", "BAD", "-o", "out.png", "--layer", "relu1_1", *QUICK),
    "inspect IMAGE dir": ("inspect", "BAD", "-o", "out.png", "--offline", "--features", "vgg.safetensors"),
    "compare CONTENT": (STUDY[0], "BAD", *STUDY[2:], "--painting", "red.png"),
    "compare --painting": (*STUDY, "--painting", "BAD"),
    "compare --clip": (*STUDY, "--painting", "red.png", "--clip", "BAD"),
    "compare --raft": (*STUDY, "--painting", "red.png", "--clip", "clip.mp4", "--raft", "BAD"),
    "styles PHOTO": ("styles", "BAD", "--sheet", "out.png"),
    "classes --segmenter": ("classes", "--segmenter", "BAD"),
    "train segmenter --recipe": ("train", "segmenter", "-o", "out", "--recipe", "BAD"),
    "train segmenter --data dir": ("train", "segmenter", "-o", "out", "--data", "BAD"),
    "train collection --list": ("train", "collection", ".", "--data", ".", "--out", "out", "--list", "BAD"),
    "evaluate masks": ("evaluate", "masks", "BAD", "BAD"),
    "evaluate mattes": ("evaluate", "mattes", "BAD", "BAD"),
    "bench mattes": ("bench", "mattes", "BAD"),
    "bench gatys": ("bench", "gatys", "BAD", "red.png", "--offline"),
    "bench stability --against": ("bench", "stability", "photo.png", "-s", "original", "--against", "BAD", "--offline"),
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody will write into the pipes of these tests."""
    monkeypatch.setattr(pipes, "PATIENCE", 0.2)


KINDS = ("missing", "empty", "folder", "pipe", "unreadable", "long")


def make(kind: str) -> str:
    """Create something that cannot be read in the current folder, and return its name."""
    path = Path("bad.png")
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "unreadable":
        path.write_bytes(b"x" * 100)
        path.chmod(0)
    elif kind == "long":
        return f"./{'x' * 300}.png"
    return f"./{path}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", COMMANDS)
def test_what_cannot_be_read(run: Run, material: Path, option: str, kind: str) -> None:
    if kind == "unreadable" and os.geteuid() == 0:
        pytest.skip("the superuser may read everything")
    for file in material.iterdir():
        if file.is_file():
            Path(file.name).symlink_to(file)
    bad = make(kind)
    before = {p.name for p in Path().iterdir()}
    code, out, err = run(*(part.replace("BAD", bad) for part in COMMANDS[option]))
    said = [line for line in err.splitlines() if line.startswith("segnst: ") and "warning:" not in line]
    assert code in (1, 2), (out, err)
    assert "an unexpected error" not in err and "Traceback" not in err, err
    assert len(said) == 1, err
    assert len(said[0]) < 900
    assert {p.name for p in Path().iterdir()} - before <= {"results"}, "something was written"
    assert kind in ("long", "missing", "empty") or "bad" in said[0]
