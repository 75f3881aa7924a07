from pathlib import Path

import pytest

from segnst.errors import PlanError, did_you_mean
from segnst.plan import parse_entry, parse_plan, short_name


def test_region_style_and_strength() -> None:
    entry = parse_entry("Car, bus=starry_night@0.7")
    assert entry.regions == ("car", "bus")
    assert [t.style for t in entry.styles] == ["starry_night"]
    assert entry.strength == 0.7


def test_mix_is_normalized() -> None:
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


def test_fades_are_keys_in_time() -> None:
    entry = parse_entry("car=0:a,2:b*3+c@0.5")
    assert entry.strength == 0.5
    assert {t.style for t in entry.styles} == {"a", "b", "c"}
    assert [(t.style, t.weight) for t in entry.at(0)] == [("a", 1.0)]
    assert {t.style: t.weight for t in entry.at(1)} == {"a": 0.5, "b": 0.375, "c": 0.125}
    assert {t.style: t.weight for t in entry.at(5)} == {"b": 0.75, "c": 0.25}
    assert str(entry) == "car=0:a,2:b*0.75+c*0.25@0.5"
    assert parse_entry(str(entry)) == entry
    for text in ("car=2:a,1:b", "car=0:a,b", "car=0:,1:b"):
        with pytest.raises(PlanError):
            parse_entry(text)


def test_short_names_of_styles() -> None:
    names = {"rose": "rose", "a/b.pth": "b", "c.safetensors:rose": "rose", "d/c.safetensors:rose": "rose"}
    names |= {"my rose.jpg": "my rose", "c.safetensors:a/my rose.jpg": "my rose", "c.safetensors:v1.2": "v1.2"}
    assert {style: short_name(style) for style in names} == names


@pytest.mark.parametrize(
    ("text", "styles", "strength"),
    [
        ("car=my rose.jpg", ["my rose.jpg"], 1),
        ("car=my rose.jpg@0.6", ["my rose.jpg"], 0.6),
        ("car=red+blue.jpg", ["red+blue.jpg"], 1),
        ("car=red+blue.jpg*3+great_wave@0.5", ["red+blue.jpg", "great_wave"], 0.5),
        ("car=great_wave+red+blue.jpg", ["great_wave", "red+blue.jpg"], 1),
        ("car=red+blue.jpg+me@home.png+my rose.jpg", ["red+blue.jpg", "me@home.png", "my rose.jpg"], 1),
        ("car=me@home.png", ["me@home.png"], 1),
        ("car=me@home.png@0.5", ["me@home.png"], 0.5),
        ("car=night@0.6", ["night@0.6"], 1),
        ("car=2*3.png*2+great_wave", ["2*3.png", "great_wave"], 1),
        ("car=a=b.png@0.5", ["a=b.png"], 0.5),
        ("a=b.png", ["a=b.png"], 1),
        ("a=b.png*2+me@home.png@0.5", ["a=b.png", "me@home.png"], 0.5),
        ("1: one, two.png", ["1: one, two.png"], 1),
        ("car=0:one, two.png,3:red+blue.jpg+great_wave@0.5", ["one, two.png", "red+blue.jpg", "great_wave"], 0.5),
        ("car=0:my rose.jpg,3:me@home.png", ["my rose.jpg", "me@home.png"], 1),
        ("car=it@s.safetensors:roses@0.5", ["it@s.safetensors:roses"], 0.5),
        ("car=it@s.safetensors:roses+great_wave", ["it@s.safetensors:roses", "great_wave"], 1),
        ("car=it@s.safetensors:red+blue.jpg", ["it@s.safetensors:red+blue.jpg"], 1),
    ],
)
def test_the_name_of_a_file_that_exists_is_read_whole(
    text: str, styles: list[str], strength: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("my rose.jpg", "red+blue.jpg", "me@home.png", "night@0.6", "2*3.png", "a=b.png", "one, two.png")
    for name in (*names, "1: one, two.png", "it@s.safetensors"):
        (tmp_path / name).touch()
    entry = parse_entry(text)
    assert [t.style for t in entry.styles] == styles
    assert entry.strength == strength
    assert entry.regions == (("car",) if text.startswith("car=") else ())
    assert [t.style for t in parse_entry(str(entry)).styles] == styles


def test_marks_separate_where_no_file_has_the_name() -> None:
    assert [t.style for t in parse_entry("car=red+blue.jpg").styles] == ["red", "blue.jpg"]
    with pytest.raises(PlanError, match="strength after '@'"):
        parse_entry("car=me@home.png")
    parse_entry("+".join(["a,b"] * 3000))
