"""What the user points at, as typed."""

from __future__ import annotations

import pytest

from segnst.config import Settings
from segnst.errors import UsageError
from segnst.segmentation.objects.selection import parse_selections


@pytest.mark.parametrize(
    ("settings", "typed"),
    [
        (Settings(point=("cup:641,10@2.5",)), "'cup:641,10@2.5'"),
        (Settings(point=("5,-1",)), "'5,-1'"),
        (Settings(box=("700,20,30,30",)), "'700,20,30,30'"),
        (Settings(box=("10,10,50,50",), not_point=("10,400",)), "'10,400'"),
    ],
)
def test_what_lies_outside_is_named_as_it_was_typed(settings: Settings, typed: str) -> None:
    with pytest.raises(UsageError, match="lies outside the frame of 640x360 px") as error:
        parse_selections(settings, (90, 160), 0.25)  # the frames are reduced to a quarter
    assert typed in str(error.value)


def test_a_box_may_reach_over_the_edge() -> None:
    (selection,) = parse_selections(Settings(box=("600,300,100,100",)), (90, 160), 0.25)
    assert selection.prompt is not None
    assert selection.prompt.box == (150, 75, 25, 25)
