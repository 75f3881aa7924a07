"""What is chosen on the page becomes settings, a command line and a plan file, and comes back from them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from segnst.config import Settings, read_plan_file
from segnst.errors import PlanError, UsageError
from segnst.studio.read_back import recipe_of
from segnst.studio.recipe import Chosen, check_range, command_line, plan_file, preview_settings, read_recipe

OBJECT = {
    "kind": "object", "name": "cup", "style": {"mix": [{"name": "udnie", "weight": 1}], "strength": 0.5},
    "keep_colors": True,
    "marks": [{"kind": "box", "x": 1.25, "y": 2, "w": 30, "h": 40, "t": 1.208333},
              {"kind": "point", "x": 5, "y": 6, "belongs": True, "t": 1.208333},
              {"kind": "point", "x": 7, "y": 8, "belongs": False, "t": 1.208333}],
}  # fmt: skip
CAR = {"kind": "class", "name": "vehicle", "style": {"mix": [{"name": "starry_night"}, {"name": "the_scream"}]}}
REST = {"kind": "background", "name": "background", "style": {"mix": [{"name": "great_wave"}], "strength": 1}}


def read(*regions: dict[str, Any], **more: Any) -> Chosen:
    still = more.pop("still", False)
    return read_recipe({"source": "x", "regions": list(regions), **more}, path_of=str, name_of=str, still=still)


def test_regions_become_a_plan_with_their_marks() -> None:
    settings = read(OBJECT, CAR, REST, start=0.5, end=2).settings
    assert settings.styles == ("cup=udnie@0.5", "vehicle=starry_night*1+the_scream*1", "background=great_wave")
    assert settings.box == ("cup:1.2,2,30,40@1.208333",)
    assert settings.point == ("cup:5,6@1.208333",)
    assert settings.not_point == ("cup:7,8@1.208333",)
    assert (settings.start, settings.end, settings.keep_colors_of) == (0.5, 2, "cup")


def test_a_background_alone_is_the_whole_frame_and_needs_no_segmenter() -> None:
    assert read(REST).settings.styles == ("great_wave",)
    assert read(REST | {"keep_colors": True}).settings.keep_colors
    assert read(REST | {"style": None}).settings.styles == ("original",)
    assert read().settings.styles == ("original",)


def test_what_is_hidden_stays_as_it_is() -> None:
    assert read(CAR | {"visible": False}, REST).settings.styles == ("vehicle=original", "background=great_wave")


def test_times_mean_nothing_for_a_still() -> None:
    settings = read(OBJECT, REST, start=1, end=2, still=True).settings
    assert settings.box == ("cup:1.2,2,30,40",)
    assert settings.start is settings.end is None


def test_the_command_line_and_the_plan_file_mean_the_same(tmp_path: Path) -> None:
    look = {"stroke_size": 2, "edge": "hard", "fast": True, "stability": 0.5}
    output = {"max_size": 320, "audio": False}
    chosen = read(OBJECT, CAR, REST, start=0.5, end=2, look=look, output=output)
    words = shlex.split(command_line(chosen.shown, "my clip.mp4", "out.mp4"))
    assert words[:3] == ["segnst", "style", "my clip.mp4"]
    assert words[-2:] == ["-o", "out.mp4"]
    for pair in (("--max-size", "320"), ("--start", "0.5"), ("--box", chosen.shown.box[0]), ("--stroke-size", "2")):
        assert words[words.index(pair[0]) + 1] == pair[1]
    assert "--fast" in words and "--no-audio" in words
    path = tmp_path / "plan.toml"
    path.write_text(plan_file(chosen.shown))
    assert Settings(**read_plan_file(path)) == chosen.shown


def test_a_plan_comes_back_as_a_recipe() -> None:
    shown = read(OBJECT, CAR, REST, start=0.5, end=2, look={"stroke_size": 2}).shown
    recipe, notes = recipe_of(shown, str)
    assert not notes
    again = read_recipe({"source": "x", **recipe}, path_of=str, name_of=str).shown
    assert again.box == shown.box and again.not_point == shown.not_point
    assert [e.partition("@")[0].split("=")[0] for e in again.styles] == ["cup", "vehicle", "background"]
    assert again.stroke_size == 2 and again.keep_colors_of == "cup"


def test_what_a_page_cannot_show_of_a_plan_is_said() -> None:
    _, notes = recipe_of(Settings(styles=("0:starry_night,2:udnie",), segmenter="kmeans:3", crf=20), str)
    assert len(notes) == 3
    assert any("fades" in note for note in notes)


@pytest.mark.parametrize(
    ("regions", "error"),
    [
        ([CAR | {"name": "a=b"}], PlanError),
        ([CAR | {"name": ""}], PlanError),
        ([OBJECT | {"name": "foreground"}], PlanError),
        ([OBJECT | {"marks": []}], PlanError),
        ([OBJECT | {"marks": [{"kind": "box", "x": "nan", "y": 0, "w": 1, "h": 1, "t": 0}]}], UsageError),
        ([CAR | {"style": {"mix": [{"name": "udnie"}], "strength": 7}}], UsageError),
        ([CAR | {"style": "udnie"}], UsageError),
        ("regions", UsageError),
        ([1], UsageError),
        ([CAR] * 100, UsageError),
    ],
)
def test_nonsense_gets_a_sentence(regions: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_recipe({"source": "x", "regions": regions}, path_of=str, name_of=str)


@pytest.mark.parametrize("more", [{"look": {"stroke_size": 1e9}}, {"output": {"format": "exe"}}, {"start": "soon"}])
def test_settings_out_of_range_get_a_sentence(more: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        read(REST, **more)


def test_a_mark_outside_of_the_chosen_part_is_named() -> None:
    with pytest.raises(PlanError, match="'cup' is marked at"):
        check_range(read(OBJECT, REST, start=2).settings)
    check_range(read(OBJECT, REST, start=1).settings)


def test_previews_of_settings_that_look_the_same_are_the_same() -> None:
    one = preview_settings(read(CAR, REST, end=2, output={"max_size": 320}).settings, "result")
    assert one == preview_settings(read(CAR, REST, start=1, look={"stability": 0.1}).settings, "result")
    assert one != preview_settings(read(CAR, REST, look={"stroke_size": 2}).settings, "result")
