import pytest

from segnst.errors import PlanError, did_you_mean
from segnst.plan import parse_entry, parse_plan


def test_region_style_and_strength() -> None:
    entry = parse_entry("Car, bus=starry_night@0.7")
    assert entry.regions == ("car", "bus")
    assert [t.style for t in entry.styles] == ["starry_night"]
    assert entry.strength == 0.7


def test_mix_is_normalised() -> None:
    entry = parse_entry("car=starry_night*3+the_scream*1")
    assert [(t.style, t.weight) for t in entry.styles] == [("starry_night", 0.75), ("the_scream", 0.25)]


def test_paths_may_hold_equals_and_at_signs() -> None:
    assert parse_entry("car=/a@b/c=d.pth").styles[0].style == "/a@b/c=d.pth"
    assert parse_entry("car=/a@b/c.pth@0.5").strength == 0.5


def test_background_is_added_as_original_and_comes_last() -> None:
    plan = parse_plan(["car=starry_night"])
    assert plan.layers == ("car", "background")
    assert plan.entries[-1].original
    assert parse_plan(["background=great_wave", "car=starry_night"]).layers == ("car", "background")


def test_whole_frame_beside_a_region_is_the_rest() -> None:
    plan = parse_plan(["great_wave", "car=original"])
    assert plan.layers == ("car", "background")
    assert plan.styles == ("great_wave",)
    assert parse_plan(["great_wave"]).whole_frame


def test_entries_print_as_they_are_read() -> None:
    for text in ("car,bus=starry_night@0.5", "great_wave", "car=a*0.75+b*0.25"):
        assert str(parse_entry(text)) == text


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([], "No style was given"),
        (["car="], "style is missing"),
        (["=starry_night"], "region's name is missing"),
        (["car=a@1.5"], "between 0"),
        (["car=a@nan"], "between 0"),
        (["car=a@much"], "must be a number"),
        (["car=a*0+b"], "above 0"),
        (["car,car=a"], "named twice"),
        (["car=a", "car=b"], "given twice"),
        (["a", "b"], "whole frame"),
        (["a", "background=b"], "given twice"),
    ],
)
def test_what_is_wrong_is_said(entries: list[str], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        parse_plan(entries)


def test_swapped_letters_are_understood() -> None:
    assert did_you_mean("cra", ["cat", "car", "vehicle"]) == " Did you mean 'car'?"
    assert did_you_mean("xyz", ["cat", "car"]) == ""
