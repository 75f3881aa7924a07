from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from segnst.assembly import build
from segnst.config import Settings
from segnst.errors import PlanError
from segnst.masks.classes import STREET
from segnst.pipeline import State, plan_regions
from segnst.plan import parse_plan
from segnst.segmentation.base import Segmenter
from segnst.segmentation.wrappers.combined import CombinedSegmenter
from segnst.types import Region
from segnst.video.read import open_reader
from tests.segmentation.scenes import iou, moving_disk, write_frames


class Fixed(Segmenter[int]):
    """A segmenter with known probabilities, whose carry counts the frames."""

    def __init__(self, regions: tuple[Region, ...], answer: Tensor) -> None:
        super().__init__("fixed", regions)
        self.answer = answer

    def frame(self, rgb: Tensor, carry: int | None) -> tuple[Tensor, int]:
        return self.answer, (carry or 0) + 1


class Counting(Fixed):
    def after_cut(self, carry: int | None) -> int | None:
        return carry

    def notes(self, carry: int | None) -> list[str]:
        return [f"{carry} frames"]


def selection(*names: str) -> Counting:
    """Each object fills some columns, the first one with a probability of one half."""
    answer = torch.zeros(1, 1 + len(names), 8, 12)
    for k in range(len(names)):
        answer[:, k + 1, :, 2 * k : 2 * k + 2] = 0.5 if k == 0 else 1.0
    answer[:, 0] = 1 - answer[:, 1:].sum(1)
    return Counting((Region(0, "background"), *(Region(k, n) for k, n in enumerate(names, 1))), answer)


def classes(name: str = "person") -> Fixed:
    """Every pixel belongs to one class, at a quarter of the size."""
    answer = torch.zeros(1, len(STREET), 2, 3)
    answer[:, next(r.index for r in STREET if r.name == name)] = 1
    return Fixed(STREET, answer)


def test_objects_lie_in_front_and_classes_have_the_rest() -> None:
    segmenter = CombinedSegmenter(selection("cup", "plate"), classes(), ["cup", "person", "plate"])
    assert [r.name for r in segmenter.regions] == ["unlabeled", "person", "cup", "plate"]
    found, carry = segmenter(torch.zeros(2, 3, 8, 12))
    assert found.shape == (2, 4, 8, 12) and torch.allclose(found.sum(1), torch.ones(()))
    rest, person, cup, plate = found[0]
    assert (cup[:, :2] == 0.5).all() and (person[:, :2] == 0.5).all()
    assert (plate[:, 2:4] == 1).all() and (person[:, 2:4] == 0).all()
    assert (person[:, 4:] > 0.999).all() and (rest < 0.001).all()
    assert segmenter.notes(segmenter.after_cut(carry)) == [
        "2 frames"
    ]  # the classes begin anew, while the selection keeps its count


def test_a_class_that_no_entry_names_is_the_rest() -> None:
    segmenter = CombinedSegmenter(selection("cup"), classes("sky"), ["cup", "person"])
    rest = segmenter(torch.zeros(1, 3, 8, 12))[0][0, 0]
    assert (rest[:, :2] == 0.5).all() and (rest[:, 2:] == 1).all()


@pytest.mark.parametrize(
    ("name", "entries"),
    [("car", ("car=a", "vehicle=b")), ("vehicle", ("vehicle=a", "car=b")), ("car1", ("car1=a", "car,bus=b"))],
)
def test_an_object_may_be_called_like_a_class(name: str, entries: tuple[str, ...]) -> None:
    plan = parse_plan(entries)
    segmenter = CombinedSegmenter(selection(name), classes("vehicle"), plan.regions)
    first, second = plan_regions(plan, segmenter)
    found, _ = segmenter(torch.zeros(1, 3, 8, 12))
    assert [r.index for r in first] == [2] and [r.index for r in second] == [1]
    assert (found[0, 2, :, :2] == 0.5).all() and (found[0, 1, :, 2:] > 0.999).all()


def test_foreground_is_every_object_of_both() -> None:
    plan = parse_plan(["foreground=a", "sky=b"])
    segmenter = CombinedSegmenter(selection("cup"), classes(), plan.regions)
    layers = plan_regions(plan, segmenter)
    assert {r.name for r in layers[0]} == {"cup", "person", "vehicle", "animal"}
    assert [r.name for r in layers[1]] == ["sky"]


def test_a_name_that_neither_knows() -> None:
    with pytest.raises(PlanError, match=r"no class 'cupp'\. Did you mean 'cup'"):
        CombinedSegmenter(selection("cup"), classes(), ["cupp", "person"])


def test_a_selection_and_classes_in_a_plan(tmp_path: Path) -> None:
    frames, truth = moving_disk(2)
    settings = Settings(
        styles=("cup=starry_night", "building,vegetation=the_scream", "background=original"),
        box=("cup:18,20,54,56",),
        stabilize=False,
    )
    with open_reader(write_frames(tmp_path / "frames", frames)) as reader:
        parts = build(settings, reader)
        assert parts.plan.layers == ("cup", "building,vegetation", "background")
        styled, _ = parts.pipeline.frame(frames[0], State())
        assert styled.masks is not None
        assert iou((styled.masks.soft[0, 0] > 0.5).numpy(), truth[0]) > 0.85
        assert float(styled.masks.soft[0, 1][torch.from_numpy(truth[0])].mean()) < 0.1
