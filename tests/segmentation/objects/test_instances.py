from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from segnst.errors import PlanError
from segnst.masks.classes import STREET
from segnst.pipeline import plan_regions
from segnst.plan import parse_plan
from segnst.segmentation.base import resolve
from segnst.segmentation.networks.deeplab import DeepLabSegmenter
from segnst.segmentation.networks.deeplab_network import DeepLab
from segnst.segmentation.objects.instances import (
    FORGET,
    Found,
    InstanceCarry,
    InstanceSegmenter,
    compose,
    follow,
    without_duplicates,
)
from segnst.stabilize.masks import Edge, draw_edges, merge_regions
from tests.segmentation.squares import CLASSES, SIZE, SquareFinder, frame

SQUARES = InstanceSegmenter(SquareFinder())


def where(segmenter: InstanceSegmenter, name: str, rgb: Tensor, carry: Any = None) -> tuple[Any, Any]:
    """The x range of a region in a frame (None: nowhere), and the carry."""
    p, carry = segmenter(rgb, carry)
    assert torch.allclose(p.sum(1), torch.ones(1, *SIZE), atol=1e-5)
    (region,) = resolve(name, segmenter.regions)
    columns = (p[0, region.index] > 0.5).any(0).nonzero()[:, 0].tolist()
    return ((columns[0], columns[-1]) if columns else None), carry


def test_without_a_plan_every_class_is_a_region() -> None:
    p, _ = SQUARES(frame(("person", 10, 10, 8), ("person", 50, 10, 8), ("car", 70, 10, 20)))
    assert SQUARES.regions == CLASSES
    assert [int((p[0, k] > 0.5).sum()) for k in range(3)] == [48 * 96 - 528, 128, 400]


def test_number_one_is_the_largest_at_first_sight_and_stays_it() -> None:
    picked = SQUARES.select(["person:1", "person:2", "person"])
    x, carry = where(picked, "person:1", frame(("person", 10, 10, 8), ("person", 50, 10, 12)))
    assert x == (50, 61)
    x, carry = where(picked, "person:1", frame(("person", 11, 10, 14), ("person", 48, 10, 12)), carry)
    assert x == (48, 59), "though the other has grown"
    newcomer = frame(("person", 11, 10, 14), ("person", 46, 10, 12), ("person", 80, 4, 16))
    assert where(picked, "person:2", newcomer, carry)[0] == (11, 24)
    assert where(picked, "person", newcomer, carry)[0] == (80, 95), "those whom nothing else means"


def test_places_are_chosen_once_and_followed() -> None:
    picked = SQUARES.select(["person:left", "person:right", "car:largest"])
    first = frame(("person", 10, 10, 8), ("person", 60, 30, 8), ("car", 30, 2, 6), ("car", 40, 2, 7))
    assert where(picked, "car:largest", first)[0] == (40, 46)
    _, carry = picked(first)
    for step in range(1, 13):  # the objects pass each other
        moved = frame(("person", 10 + 5 * step, 10, 8), ("person", 60 - 5 * step, 30, 8))
        left, _ = where(picked, "person:left", moved, carry)
        right, carry = where(picked, "person:right", moved, carry)
        assert left == (10 + 5 * step, 17 + 5 * step)
        assert right == (60 - 5 * step, 67 - 5 * step)


def test_one_person_alone_is_left_or_right_but_not_both() -> None:
    picked = SQUARES.select(["person:left", "person:right"])
    alone = frame(("person", 40, 10, 8))
    x, carry = where(picked, "person:left", alone)
    assert x == (40, 47)
    assert where(picked, "person:right", alone)[0] is None
    both = frame(("person", 41, 10, 8), ("person", 70, 10, 8))
    assert where(picked, "person:right", both, carry)[0] == (70, 77)


def test_an_object_out_of_sight_is_known_again_and_at_last_replaced() -> None:
    picked = SQUARES.select(["person:largest"])
    _, carry = where(picked, "person:largest", frame(("person", 10, 10, 10), ("person", 60, 10, 8)))
    for _ in range(FORGET // 2):
        x, carry = where(picked, "person:largest", frame(("person", 60, 10, 8)), carry)
        assert x is None, "hidden, not replaced"
    assert where(picked, "person:largest", frame(("person", 12, 10, 10), ("person", 60, 10, 8)), carry)[0] == (12, 21)
    for _ in range(FORGET + 1):
        x, carry = where(picked, "person:largest", frame(("person", 60, 10, 8)), carry)
    assert x == (60, 67)


def test_a_class_before_its_group_and_all_of_a_class() -> None:
    scene = frame(("person", 10, 10, 8), ("car", 40, 2, 6), ("car", 60, 2, 7))
    assert where(SQUARES.select(["car:*"]), "car:*", scene)[0] == (40, 66)
    assert [r.name for r in SQUARES.select(["people:1", "person:1", "vehicle"]).regions] == [
        "other", "people:1", "vehicle", "object",
    ]  # fmt: skip
    assert where(SQUARES.select(["person:1"]), "object", scene)[0] == (40, 66), "all that was not asked for"


def test_what_is_less_sure_is_believed_only_where_it_was_seen() -> None:
    mask = torch.zeros(1, 8, 8)
    mask[:, 2:6, 2:6] = 0.9
    assert follow(Found((1,), (0.4,), mask), InstanceCarry())[1] == ()
    _, numbers, carry = follow(Found((1,), (0.8,), mask), InstanceCarry())
    assert numbers == (0,)
    assert follow(Found((1,), (0.4,), mask), carry)[1] == (0,)
    _, numbers, later = follow(Found((2,), (0.9,), mask), carry)
    assert (numbers, later.seen) == ((0,), (1,)), "a car for one frame: the same object, of the class first seen"


def test_two_finds_of_one_object_are_one() -> None:
    mask = torch.zeros(2, 8, 8)
    mask[:, 2:6, 2:6] = 0.9
    kept = without_duplicates(Found((1, 2), (0.6, 0.7), mask))
    assert (kept.classes, kept.scores, len(kept.masks)) == ((2,), (0.7,), 1)


def test_the_surer_object_lies_in_front() -> None:
    masks = torch.tensor([[[0.8, 0.0]], [[1.0, 1.0]]])
    p = compose(Found((1, 2), (0.9, 0.6), masks), (1, 2), 3)
    assert torch.allclose(p[:, 0], torch.tensor([[0.0, 0.0], [0.8, 0.0], [0.2, 1.0]]))


def test_a_higher_threshold_draws_an_object_tighter() -> None:
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(96.0), indexing="ij")
    soft = torch.sigmoid((15 - (x - 48).hypot(y - 24)) / 3)[None]  # a soft edge, as mask heads predict it

    class Disc(SquareFinder):
        def __call__(self, rgb: Tensor) -> Found:
            return Found((1,), (0.9,), soft)

    picked = InstanceSegmenter(Disc()).select(["person:1"])
    p, _ = picked(torch.zeros(1, 3, 48, 96))
    layers = merge_regions(p, plan_regions(parse_plan(["person:1=x", "background=y"]), picked))
    areas = [
        int(draw_edges(layers, torch.zeros(1, 3, 48, 96), Edge.parse(f"threshold:{x}"))[0, 0].sum())
        for x in (0.2, 0.5, 0.8)
    ]
    assert areas[0] > areas[1] > areas[2]
    for area, radius in zip(areas, (19.2, 15.0, 10.8), strict=True):
        assert area == pytest.approx(3.1416 * radius**2, rel=0.05)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("persn:1", "Did you mean 'person'"),
        ("person:0", "from 1"),
        ("person:lefft", "person:left"),
        ("person:", "NUMBER"),
        ("dragon", "It knows: other, person, car"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(name: str, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        SQUARES.select([name])


def test_a_segmenter_of_classes_names_the_one_that_knows_objects() -> None:
    segmenter = DeepLabSegmenter("deeplab", DeepLab(9, 16, 8, 8), STREET)
    assert segmenter.select(["person:1"]) is segmenter
    with pytest.raises(PlanError, match=r"cannot tell one person from another.*--segmenter mask_rcnn"):
        plan_regions(parse_plan(["person:1=x"]), segmenter)
