"""`segnst segment`, and selections in `segnst style`, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from segnst.masks.indexed_png import read_png
from tests.conftest import Run
from tests.segmentation.scenes import iou, moving_disk, write_frames


def test_two_boxes_on_a_photo_are_one_object_of_0_and_1(run: Run, tmp_path: Path) -> None:
    frames, masks = moving_disk(1)
    picture = np.concatenate([(frames[0][0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)] * 2, 1)
    cv2.imwrite("photo.png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    truth = np.concatenate([masks[0]] * 2, 1)
    boxes = ("--box", "18,20,54,56", "--box", "178,20,54,56")
    code, out, err = run("segment", "photo.png", "--segmenter", "grabcut", *boxes, "-o", "out", "--json")
    assert code == 0, err
    labels = read_png(tmp_path / "out/photo.png")
    assert set(np.unique(labels)) == {0, 1} and iou(labels == 1, truth) > 0.9
    facts = json.loads(out)
    assert [c["name"] for c in facts["classes"]] == ["background", "object"]
    code, _, err = run("segment", "photo.png", "--segmenter", "grabcut", "--box", "a:18,20,54,56", "-o", "out")
    assert code == 1 and "--overwrite" in err
    named = ("--box", "a:18,20,54,56", "--box", "b:178,20,54,56")
    assert run("segment", "photo.png", *named, "-o", "out", "--overwrite", "-q")[0] == 0
    assert set(np.unique(read_png(tmp_path / "out/photo.png"))) == {0, 1, 2}


def test_a_clip_is_followed_and_fed_back(run: Run, tmp_path: Path) -> None:
    frames, masks = moving_disk(3)
    write_frames(tmp_path / "frames", frames)
    code, out, err = run("segment", "frames", "--box", "cup:26,20,54,56@2f", "-o", "masks", "--json")
    assert code == 0, err
    assert len(json.loads(out)["confidence"]["cup"]) == 3
    for k, truth in enumerate(masks):
        assert iou(read_png(tmp_path / f"masks/{k:06d}.png") == 1, truth) > 0.8
    plan = ("-s", "cup=starry_night", "-s", "background=original")
    code, out, err = run("style", "frames", "--masks", "masks", *plan, "-o", "styled", "-q")
    assert code == 0, err
    source, styled = (cv2.imread(f"{d}/000001.png").astype(int) for d in ("frames", "styled"))
    change = np.abs(source - styled).mean(2)
    assert change[masks[1]].mean() > 10 * change[~masks[1]].mean()


def test_check_draws_where_two_segmenters_disagree(run: Run, tmp_path: Path) -> None:
    write_frames(tmp_path / "frames", moving_disk(2)[0])
    code, out, err = run(
        "segment", "frames/000000.png", "--segmenter", "kmeans:3", "--check", "kmeans:2", "-o", "m", "--json"
    )
    assert code == 0, err
    assert 0 < json.loads(out)["agreement"]["pixels"] <= 1
    assert cv2.imread("m/check.png") is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--segmenter", "grabcut"), "add --box"),
        (("--box", "1,2,3"), "--box takes"),
        (("--box", "900,900,20,20"), "lies outside the frame"),
        (("--segmenter", "kmeans:1"), "2 to 32"),
        (("--format", "psd", "--segmenter", "kmeans:2"), "no format 'psd'"),
        (("--masks", "nothing"), "do not exist"),
        (("--masks", "frames", "--box", "1,2,30,40"), "leave one out"),
        (("--masks-override", "nothing"), "no folder"),
        (("--foreground", "nothing.png"), "does not exist"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    write_frames(tmp_path / "frames", moving_disk(1)[0])
    code, _, err = run("segment", "frames/000000.png", *arguments, "-o", "out")
    assert code in (1, 2) and words in err and "Traceback" not in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["frames"]


def test_foreground_is_every_object(run: Run, tmp_path: Path) -> None:
    write_frames(tmp_path / "frames", moving_disk(1)[0])
    plan = ("-s", "foreground=starry_night", "-s", "background=great_wave")
    code, out, err = run("style", "frames/000000.png", *plan, "--dry-run", "--json")
    assert code == 0, err
    assert json.loads(out)["plan"][0] == "foreground=starry_night"
