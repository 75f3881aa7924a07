"""What is the user's stays: nothing is replaced unasked, and with --overwrite only what the run itself makes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.config import Settings
from segnst.errors import OutputError
from segnst.jobs.events import Context, Event, Frames
from segnst.jobs.segment import segment_file
from segnst.jobs.segment_settings import SegmentSettings
from segnst.jobs.style import style_file
from tests.clips import panning, write_clip
from tests.conftest import Run


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", panning(3), sound=False)


class _At:
    """Does something when the first frame is done."""

    def __init__(self, what) -> None:  # type: ignore[no-untyped-def]
        self.what = what
        self.context = Context(self)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Frames) and event.done == 1:
            self.what()


def _labels(folder: Path) -> Path:
    folder.mkdir()
    for k in range(3):
        labels = np.zeros((48, 64), np.uint8)
        labels[:, :32] = 1
        cv2.imwrite(str(folder / f"{k:06d}.png"), labels)
    return folder


@pytest.mark.parametrize("output", ["o.mp4", "o.gif", "frames", "o.png"])
def test_an_output_that_appears_during_the_run_stays(clip: Path, tmp_path: Path, output: str) -> None:
    target = tmp_path / output
    mine = target if target.suffix else target / "mine.txt"
    if output == "o.png":
        clip = tmp_path / "photo.png"
        cv2.imwrite(str(clip), np.full((32, 48, 3), 90, np.uint8))

    def appear() -> None:
        mine.parent.mkdir(exist_ok=True)
        mine.write_text("mine")

    with pytest.raises(OutputError, match="exists already"):
        style_file(clip, target, Settings(styles=("original",)), context=_At(appear).context)
    assert mine.read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"clip.mp4", clip.name, output}


def test_a_foreign_picture_in_a_folder_of_frames_stays(run: Run, clip: Path) -> None:
    assert run("style", clip, "-s", "original", "-o", "frames")[0] == 0
    assert run("style", clip, "-s", "original", "-o", "frames", "--overwrite")[0] == 0, "frames of a run are replaced"
    Path("frames/holiday.png").write_bytes(b"mine")
    code, _, err = run("style", clip, "-s", "original", "-o", "frames", "--overwrite")
    assert (code, "holiday.png" in err) == (1, True)
    assert Path("frames/holiday.png").read_bytes() == b"mine"


def test_a_link_is_replaced_and_what_it_points_at_stays(run: Run, clip: Path) -> None:
    Path("kept.mp4").write_bytes(b"mine")
    Path("link.mp4").symlink_to("kept.mp4")
    code, _, err = run("style", clip, "-s", "original", "-o", "link.mp4", "--overwrite")
    assert code == 0, err
    assert "link.mp4 was a link; it was replaced, and kept.mp4 stays" in err
    assert Path("kept.mp4").read_bytes() == b"mine"
    assert not Path("link.mp4").is_symlink()


def test_two_outputs_of_one_name_are_refused(run: Run, tmp_path: Path) -> None:
    cv2.imwrite("a.png", np.full((32, 48, 3), 90, np.uint8))
    Path("sub").mkdir()
    code, _, err = run("style", "a.png", "-s", "original", "-o", "o.png", "--sheet", "sub/../o.png")
    assert (code, "--output and --sheet are both" in err) == (2, True), err
    assert {p.name for p in tmp_path.iterdir()} == {"a.png", "sub"}


def test_masks_and_strokes_that_were_given_are_not_replaced(run: Run, clip: Path, tmp_path: Path) -> None:
    _labels(tmp_path / "masks")
    before = {p: p.read_bytes() for p in Path("masks").iterdir()}
    styled = ("style", clip, "-s", "1=original", "--masks", "masks", "--overwrite")
    for arguments in (
        (*styled, "-o", "masks"),
        (*styled, "-o", "o.mp4", "--sheet", "masks/000000.png"),
        ("segment", clip, "--masks", "masks", "-o", "masks", "--overwrite"),
    ):
        code, _, err = run(*arguments)
        assert code == 1, err
        assert "masks" in err
        assert {p: p.read_bytes() for p in Path("masks").iterdir()} == before
        assert not Path("o.mp4").exists()


@pytest.mark.parametrize("name", ["classes.json", "coco.json", "overlay.mp4", "soft16/cluster1/000001.png", "a/b.png"])
def test_segment_replaces_nothing_unasked_and_nothing_foreign_if_asked(run: Run, clip: Path, name: str) -> None:
    for path in (Path("masks") / name, Path("masks/notes.txt"), Path("masks/soft16/cluster1/mine.txt")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    before = {p: p.read_bytes() for p in Path("masks").rglob("*") if p.is_file()}
    formats = [word for each in ("indexed", "coco", "overlay", "soft16") for word in ("--format", each)]
    command = ("segment", clip, "--segmenter", "kmeans:2", "-o", "masks", *formats)
    code, _, err = run(*command)
    assert (code, "--overwrite" in err) == (1, True), err
    assert {p: p.read_bytes() for p in Path("masks").rglob("*") if p.is_file()} == before
    code, _, err = run(*command, "--overwrite")
    assert code == 0, err
    for path in before:
        made = path == Path("masks") / name and name != "a/b.png"
        assert (path.read_bytes() == b"mine") != made
    assert len(json.loads(Path("masks/classes.json").read_text())["classes"]) == 2


def test_what_appears_in_the_folder_of_masks_during_the_run_stays(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks"

    def appear() -> None:
        out.mkdir()
        (out / "000002.png").write_text("mine")

    settings = SegmentSettings(Settings(segmenter="kmeans:2"))
    with pytest.raises(OutputError, match=r"000002\.png exists already"):
        segment_file(clip, out, settings, context=_At(appear).context)
    assert [p.name for p in out.iterdir()] == ["000002.png"]
    assert (out / "000002.png").read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"clip.mp4", "masks"}


def test_masks_do_not_leave_the_folder_through_a_link(run: Run, clip: Path) -> None:
    Path("elsewhere").mkdir()
    Path("masks").mkdir()
    Path("masks/soft16").symlink_to("../elsewhere")
    code, _, err = run("segment", clip, "--segmenter", "kmeans:2", "-o", "masks", "--format", "soft16", "--overwrite")
    assert (code, "is a link" in err) == (1, True), err
    assert not list(Path("elsewhere").iterdir())


def test_a_dry_run_says_that_the_output_exists_and_goes_on(run: Run, clip: Path) -> None:
    Path("results").mkdir()
    Path("results/clip_original.mp4").write_bytes(b"mine")
    code, out, err = run("style", clip, "-s", "original", "--dry-run", "--json")
    assert code == 0, err
    assert "results/clip_original.mp4 exists already" in err
    assert "exists already" in json.loads(out)["warnings"][0]
    assert Path("results/clip_original.mp4").read_bytes() == b"mine"
    code, _, err = run("style", clip, "-s", "original", "--dry-run", "--overwrite")
    assert (code, "exists already" in err) == (0, False)


def test_small_strokes_on_any_cpu(run: Run, clip: Path, tmp_path: Path) -> None:
    from segnst.style.transformer import TransformerNetwork
    from segnst.weights import write_tensors

    torch.manual_seed(0)
    write_tensors(tmp_path / "t.safetensors", TransformerNetwork(4, 1).state_dict(), {"format": "segnst-johnson"})
    code, _, err = run("style", clip, "-s", "t.safetensors", "--stroke-size", "0.5", "-o", "o.mp4")
    assert code == 0, err


def test_a_name_that_no_terminal_can_print(run: Run, clip: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    code, _, err = run("style", clip, "-s", "original", "-o", name, "-q")
    assert code == 0, err
    assert (tmp_path / name).exists()
