"""Fields of dataclasses that describe themselves: the only source of an option's name, default, limits and help.

A field that is declared with :func:`setting` carries a :class:`Setting`. The command line builds its options from these
(``segnst.cli.from_settings``). The dataclass calls :func:`check` in ``__post_init__``, so that the limits hold for
values from the command line, from a plan file and from Python.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from segnst.errors import UsageError, did_you_mean

T = TypeVar("T")
_KEY = "setting"


@dataclass(frozen=True, slots=True)
class Setting:
    """The description of a field for those who set it.

    help      one or two sentences for ``--help``; limits and default are added to them
    metavar   placeholder of the value, such as ``PX``
    group     heading under which the option is listed in ``--help``
    min, max  inclusive limits;  above  an exclusive lower limit
    unit      unit of the limits for messages, such as "px"
    options   names of the option if they differ from the field's name: ``("-s", "--style")``
    repeat    a tuple is given by repeating the option instead of as one text with commas
    parse     converts the text on the command line to a value, if the type of the field is not enough to do so
    complete  kind of words that the shell completes (``segnst.cli.completion``)
    """

    help: str
    metavar: str | None = None
    group: str | None = None
    min: float | None = None
    max: float | None = None
    above: float | None = None
    unit: str = ""
    options: tuple[str, ...] = ()
    repeat: bool = False
    parse: Callable[[str], Any] | None = None
    complete: str | None = None

    @property
    def limits(self) -> str:
        """The limits in words, such as ``0 to 1`` or ``at least 16 px``; empty if there are none."""
        unit = f" {self.unit}" if self.unit else ""
        if self.above is not None:
            return f"above {self.above:g}" + (f", at most {self.max:g}{unit}" if self.max is not None else unit)
        if self.min is not None and self.max is not None:
            return f"{self.min:g} to {self.max:g}{unit}"
        if self.min is not None:
            return f"at least {self.min:g}{unit}"
        return f"at most {self.max:g}{unit}" if self.max is not None else ""

    def allows(self, value: object) -> bool:
        """Whether ``value`` is a finite number within the limits."""
        if not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return (
            (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
            and (self.above is None or value > self.above)
        )


def setting(default: T, help: str, **more: Any) -> T:
    """Declare a field with a default; ``more`` are the other arguments of :class:`Setting`.

    Type checkers see the default itself, as with ``dataclasses.field``.
    """
    field: Any = dataclasses.field(default=default, metadata={_KEY: Setting(help, **more)})
    result: T = field
    return result


def restated(owner: type, name: str, default: T, **more: Any) -> T:
    """Declare the setting ``name`` of another class again with a default; ``more`` are other differences."""
    known: Setting = owner.__dataclass_fields__[name].metadata[_KEY]  # type: ignore[attr-defined]
    field: Any = dataclasses.field(default=default, metadata={_KEY: dataclasses.replace(known, **more)})
    result: T = field
    return result


@dataclass(frozen=True, slots=True)
class Described:
    """A field of a settings class with its resolved type and its :class:`Setting`."""

    name: str
    type: Any
    default: Any
    about: Setting

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that a ``Literal`` allows; empty for other types."""
        kinds = (self.type, *get_args(self.type))
        return next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ())

    @property
    def options(self) -> tuple[str, ...]:
        """All names of the option."""
        dashed = self.name.replace("_", "-")
        if self.about.options:
            return self.about.options
        return (f"--{dashed}/--no-{dashed}",) if self.type is bool and self.default else (f"--{dashed}",)

    @property
    def option(self) -> str:
        """The long name of the option, which messages use."""
        return next(o for o in self.options if o.startswith("--")).partition("/")[0]


_known: dict[type, tuple[Described, ...]] = {}


def described(owner: type) -> tuple[Described, ...]:
    """The fields of a settings class that have a :class:`Setting`, in order."""
    if owner not in _known:
        types = get_type_hints(owner)
        _known[owner] = tuple(
            Described(f.name, types[f.name], f.default, f.metadata[_KEY])
            for f in dataclasses.fields(owner)
            if _KEY in f.metadata
        )
    return _known[owner]


def check(settings: Any) -> None:
    """Raise UsageError for the first value of a settings object that its field does not allow.

    None is allowed for every field whose type includes it.
    """
    for field in described(type(settings)):
        value = getattr(settings, field.name)
        for one in _parts(field, value):
            _check(field, one)


def _parts(field: Described, value: Any) -> Iterator[Any]:
    if value is None and type(None) in get_args(field.type):
        return
    yield from value if isinstance(value, tuple) else (value,)


def _check(field: Described, value: Any) -> None:
    about, choices = field.about, field.choices
    if choices:
        if value not in choices:
            meant = did_you_mean(str(value), choices)
            raise UsageError(f"{field.option} must be one of {', '.join(choices)}, got '{value}'.{meant}")
        return
    if not _is_number(field.type) or about.allows(value):
        return
    got = f"{value:g}" if isinstance(value, int | float) else repr(value)
    limits = about.limits
    if not limits:
        raise UsageError(f"{field.option} must be a finite number, got {got}.")
    if about.above is None and about.min is not None and about.max is not None:
        unit = f" {about.unit}" if about.unit else ""
        limits = f"lie between {about.min:g} and {about.max:g}{unit}"
        raise UsageError(f"{field.option} must {limits}, got {got}.")
    raise UsageError(f"{field.option} must be {limits}, got {got}.")


def _is_number(kind: Any) -> bool:
    """Whether a field of this type holds a number, a number or None, or a tuple of numbers."""
    kinds = get_args(kind) or (kind,)
    return any(k in (int, float) for k in kinds)
