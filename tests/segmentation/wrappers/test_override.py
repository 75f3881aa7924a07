"""Frames corrected by hand, with segmenters of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from segnst.assembly import build
from segnst.config import Settings
from segnst.masks.classes import STREET
from segnst.masks.indexed_png import read_png, write_png
from segnst.pipeline import State
from segnst.segmentation.networks import mask_rcnn
from segnst.segmentation.objects.instances import InstanceSegmenter
from segnst.segmentation.wrappers.override import OverrideSegmenter
from segnst.types import Region
from segnst.video.read import open_reader
from tests.conftest import Run
from tests.segmentation.scenes import iou, moving_disk, write_frames
from tests.segmentation.squares import SIZE, SquareFinder, frame

VEHICLE = next(r.index for r in STREET if r.name == "vehicle")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Mask R-CNN of one class with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    regions = (Region(0, "other"), Region(1, "square"))
    mask_rcnn.save(path, mask_rcnn.build("maskrcnn_small", 2), regions, "maskrcnn_small", {})
    return path


def corrected(folder: Path, number: int, mask: np.ndarray) -> str:
    folder.mkdir()
    write_png(folder / f"{number:06d}.png", mask.astype(np.uint8))
    return str(folder)


def test_a_numbered_object_is_corrected(tmp_path: Path, small: Path) -> None:
    frames, truth = moving_disk(2)
    settings = Settings(
        styles=("square:1=starry_night", "background=original"),
        segmenter=str(small),
        masks_override=corrected(tmp_path / "fix", 0, 255 * truth[0].astype(np.uint8)),
        device="cpu",
        stabilize=False,
    )
    with open_reader(write_frames(tmp_path / "frames", frames)) as reader:
        parts = build(settings, reader)
        assert parts.segmenter is not None
        assert [r.name for r in parts.segmenter.regions] == ["other", "square:1", "object"]
        styled, _ = parts.pipeline.frame(frames[0], State())
    assert styled.masks is not None
    assert iou((styled.masks.soft[0, 0] > 0.5).numpy(), truth[0]) > 0.95


def test_a_corrected_class_goes_to_those_of_its_objects_that_are_seen_there() -> None:
    """Label maps name classes; the segmenter decides which object of the class a pixel belongs to."""
    rgb = frame(("person", 10, 10, 12), ("person", 50, 10, 8), ("car", 70, 10, 20))
    labels = np.zeros(SIZE, np.uint8)
    labels[8:24, 8:24] = 1  # the first person, drawn a little larger than the network sees it
    labels[8:20, 48:60] = 1  # the second person
    labels[30:40, 30:40] = 1  # a person that the network does not see
    labels[10:30, 70:90] = 2
    plain = OverrideSegmenter(InstanceSegmenter(SquareFinder()), {0: labels}, {})
    picked = plain.select(["person:2", "person:1"])
    assert [r.name for r in picked.regions] == ["other", "person:2", "person:1", "object"]
    found = picked(rgb)[0][0].argmax(0).numpy()
    assert (found[8:24, 8:24] == 2).all() and (found[8:20, 48:60] == 1).all()
    assert (found[30:40, 30:40] == 1).all(), "the first that the plan asks for"
    assert (found[10:30, 70:90] == 3).all(), "objects that nobody asked for"
    assert ((found == 0) == (labels == 0)).all()
    with_car = plain.select(["car", "person"])(rgb)[0][0].argmax(0).numpy()
    assert ((with_car == 1) == (labels == 2)).all() and ((with_car == 2) == (labels == 1)).all()


def test_the_default_segmenter_is_corrected_in_a_steadied_run(tmp_path: Path) -> None:
    frames, truth = moving_disk(3, size=(160, 512))
    settings = Settings(
        styles=("vehicle=starry_night", "background=original"),
        masks_override=corrected(tmp_path / "fix", 1, VEHICLE * truth[1].astype(np.uint8)),
        device="cpu",
    )
    with open_reader(write_frames(tmp_path / "frames", frames)) as reader:
        parts, state = build(settings, reader), State()
        assert parts.segmenter is not None
        sizes, carry = set(), None
        for rgb in frames:
            styled, state = parts.pipeline.frame(rgb, state)
            found, carry = parts.segmenter(rgb, carry)
            sizes.add(found.shape)
            assert styled.masks is not None and styled.masks.soft.shape == (1, 2, 160, 512)
    assert len(sizes) == 1, "masks of one size, whether a frame is corrected or not"


def test_the_corrected_frame_is_as_it_was_drawn_whatever_the_network_s_size(tmp_path: Path) -> None:
    frames, truth = moving_disk(2, size=(160, 512))
    fix = corrected(tmp_path / "fix", 1, VEHICLE * truth[1].astype(np.uint8))
    with open_reader(write_frames(tmp_path / "frames", frames)) as reader:
        segmenter = build(Settings(styles=("sky=starry_night",), masks_override=fix, fast=True), reader).segmenter
    assert segmenter is not None
    found, _ = segmenter(torch.cat(frames))
    assert np.array_equal(found[1, VEHICLE].numpy() > 0.5, truth[1])


def test_confidence_is_told_under_an_override(run: Run, tmp_path: Path) -> None:
    frames, truth = moving_disk(3)
    write_frames(tmp_path / "frames", frames)
    fix = corrected(tmp_path / "fix", 1, truth[1])
    command = ("segment", "frames", "--box", "cup:18,20,54,56", "--masks-override", fix)
    code, out, err = run(*command, "-o", "masks", "--json")
    assert code == 0, err
    assert len(json.loads(out)["confidence"]["cup"]) == 3
    assert iou(read_png(tmp_path / "masks/000001.png") == 1, truth[1]) > 0.95
    code, out, err = run(*command, "-o", "checked", "--check", "files:masks", "--json")
    assert code == 0, err
    assert len(json.loads(out)["confidence"]["cup"]) == 3
