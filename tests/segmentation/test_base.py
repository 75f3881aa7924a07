from __future__ import annotations

import pytest

from segnst.errors import PlanError
from segnst.masks.classes import STREET, VOC
from segnst.segmentation.base import resolve


def test_a_name_or_an_alias_finds_its_region() -> None:
    assert [r.name for r in resolve("vehicle", STREET)] == ["vehicle"]
    for word in ("car", "bus", "truck", "motorbike", " Car "):
        assert [r.name for r in resolve(word, STREET)] == ["vehicle"]
    for word in ("dog", "cat", "horse", "bird"):
        assert [r.name for r in resolve(word, STREET)] == ["animal"]


def test_an_alias_may_stand_for_several_regions() -> None:
    assert [r.name for r in resolve("vehicle", VOC)] == ["bus", "car", "motorbike", "train"]
    assert [r.name for r in resolve("car", VOC)] == ["car"]
    assert {r.name for r in resolve("animal", VOC)} == {"bird", "cat", "cow", "dog", "horse", "sheep"}


def test_an_unknown_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(PlanError) as caught:
        resolve("vehicel", STREET)
    assert "'vehicle'?" in str(caught.value)
    for region in STREET:
        assert region.name in str(caught.value)


def test_no_name_is_the_alias_of_another_class_and_indexes_count_up() -> None:
    for regions in (STREET, VOC):
        names = {r.name for r in regions}
        assert [r.index for r in regions] == list(range(len(regions)))
        assert all(not names & set(r.aliases) for r in regions)
