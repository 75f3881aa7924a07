"""Settings that hold their limits and say what they are."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from segnst.config import Settings
from segnst.errors import UsageError
from segnst.setting import check, described, restated, setting
from segnst.train.settings import CollectionSettings, SegmenterSettings, StyleSettings


@dataclass(frozen=True)
class _Cake:
    layers: int = setting(3, "How many layers.", min=1, max=9)
    sugar: float | None = setting(None, "Grams of sugar.", above=0, unit="g")
    filling: Literal["cream", "jam"] = setting("jam", "What is between them.")
    weights: tuple[float, ...] = setting((), "Weights of the layers.", min=0)
    secret: int = 7

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class _Wedding(_Cake):
    layers: int = restated(_Cake, "layers", 5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layers": 10}, "--layers must lie between 1 and 9, got 10"),
        ({"layers": "two"}, "--layers must lie between 1 and 9, got 'two'"),
        ({"sugar": 0}, "--sugar must be above 0 g, got 0"),
        ({"sugar": float("inf")}, "--sugar must be above 0 g, got inf"),
        ({"sugar": float("nan")}, "--sugar must be above 0 g, got nan"),
        ({"filling": "jem"}, "--filling must be one of cream, jam, got 'jem'. Did you mean 'jam'?"),
        ({"weights": (1.0, -1.0)}, "--weights must be at least 0, got -1"),
    ],
)
@pytest.mark.parametrize("kind", [_Cake, _Wedding])
def test_a_value_that_its_field_does_not_allow_is_named(kind: type[_Cake], given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as told:
        kind(**given)
    assert message in str(told.value)


def test_what_is_allowed_is_taken() -> None:
    assert _Cake(layers=9, sugar=0.5, filling="cream", weights=(0, 2)).sugar == 0.5
    assert _Wedding().layers == 5 and _Cake().layers == 3
    assert [f.name for f in described(_Wedding)] == ["layers", "sugar", "filling", "weights"], "secret is no option"


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Settings, "stability", 1.5), (Settings, "start", -1.0), (Settings, "max_size", 8), (Settings, "fps", 0.0),
        (Settings, "crf", 64), (Settings, "stroke_size", 0.1), (Settings, "tile", "on"),
        (StyleSettings, "batch", 0), (CollectionSettings, "plain_share", 2.0), (SegmenterSettings, "crop", 320),
    ],
)  # fmt: skip
def test_the_settings_of_segnst_hold_their_limits(kind: type, name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} must"):
        kind(**{name: value})


def test_a_collection_has_an_identity_by_default() -> None:
    different = {
        f.name: getattr(CollectionSettings(), f.name)
        for f in dataclasses.fields(StyleSettings)
        if getattr(CollectionSettings(), f.name) != getattr(StyleSettings(), f.name)
    }
    assert different["identity_steps"] > 0
    assert set(different) == {
        "iterations", "batch", "crop", "learning_rate", "style_rate", "identity_steps", "temporal_from",
        "free_share",
    }  # fmt: skip
