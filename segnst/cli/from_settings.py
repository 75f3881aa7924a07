"""Options from settings: a command that takes a settings object gets an option for each of its fields.

::

    @with_options
    def collection(paintings: …, settings: Annotated[StyleSettings, Without("warmup")], out: Path = Path()) -> None:

Names, defaults, limits and help come from the fields (``segnst.setting``). The command receives the checked settings
object, so that a value out of range gets the same message here and in Python. A parameter that is annotated
``Given[Settings]`` receives the values instead, and the names of those that were given on the command line.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar, get_args, get_origin, get_type_hints

import typer

from segnst.cli.completion import completer
from segnst.errors import UsageError
from segnst.setting import Described, described

S = TypeVar("S")


@dataclasses.dataclass(frozen=True)
class Without:
    """The fields that a command has no options for; they keep their defaults."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclasses.dataclass(frozen=True)
class Only:
    """The fields that a command has options for; the others keep their defaults."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclasses.dataclass(frozen=True)
class Given(Generic[S]):
    """The values of the options, before a settings object is built from them."""

    owner: type[S]
    values: Mapping[str, Any]
    explicit: frozenset[str]  # names of the values that were given on the command line

    def build(self, beneath: Mapping[str, Any] | None = None, **fixed: Any) -> S:
        """Build the settings. Raises UsageError for a value that is not allowed.

        beneath  values, such as those of a file, for the fields that were not given on the command line
        fixed    values that replace all others
        """
        filling = {k: v for k, v in (beneath or {}).items() if k not in self.explicit}
        return self.owner(**{**self.values, **filling, **fixed})


@dataclasses.dataclass(frozen=True)
class _Place:
    """A parameter of a command that stands for settings."""

    parameter: str
    owner: type
    fields: tuple[Described, ...]
    raw: bool  # whether the command receives Given instead of the settings


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command: its parameters for settings are replaced by options for their fields."""
    hints = get_type_hints(command, include_extras=True)
    places: list[_Place] = []
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        place = _place(parameter.name, hints[parameter.name])
        if place is None:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name]))
        else:
            places.append(place)
            parameters += [_parameter(field) for field in place.fields]
    context = inspect.Parameter("_context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

    @functools.wraps(command)
    def run(_context: typer.Context, **values: Any) -> None:
        explicit = {n for n in values if _is_explicit(_context, n)}
        for place in places:
            chosen = {field.name: _value(field, values.pop(field.name)) for field in place.fields}
            given = Given[Any](place.owner, chosen, frozenset(explicit & set(chosen)))
            values[place.parameter] = given if place.raw else given.build()
        command(**values)

    run.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (context, *parameters)}
    run.settings = tuple((place.owner, place.fields) for place in places)  # type: ignore[attr-defined]
    return run


def _is_explicit(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _place(name: str, hint: Any) -> _Place | None:
    """Return the settings that a parameter stands for, or None if it is an ordinary argument or option."""
    plain, notes = hint, list[Without | Only]()
    if get_origin(hint) is Annotated:
        plain, *rest = get_args(hint)
        notes = [note for note in rest if isinstance(note, Without | Only)]
    raw = get_origin(plain) is Given
    owner = get_args(plain)[0] if raw else plain
    if not dataclasses.is_dataclass(owner) or not isinstance(owner, type):
        return None
    fields = described(owner)
    known = {f.name for f in fields}
    for note in notes:
        if missing := set(note.names) - known:
            raise TypeError(f"{owner.__name__} has no setting {sorted(missing)[0]}")
        fields = tuple(f for f in fields if (f.name in note.names) is isinstance(note, Only))
    return _Place(name, owner, fields, raw)


def like(owner: type, name: str, **other: Any) -> Any:
    """Return the option of one field, for a command that has only this one: ``Annotated[str, like(Settings, "flow")]``.

    other  attributes of :class:`segnst.setting.Setting` that differ
    """
    field = next(f for f in described(owner) if f.name == name)
    return _option(dataclasses.replace(field, about=dataclasses.replace(field.about, **other)))


def option(
    help: str,
    *names: str,
    metavar: str | None = None,
    group: str | None = None,
    complete: str | tuple[str, ...] | None = None,
    stdout: bool = False,
    **more: Any,
) -> Any:
    """Return an ordinary option for typer, which stands for no field of settings.

    group, complete  as in :class:`segnst.setting.Setting`
    stdout           whether ``-o -`` means standard output; otherwise it is refused
    more             other arguments of ``typer.Option``, such as ``min``
    """
    if "-o" in names and not stdout:
        more["callback"] = _no_stdout
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=group, autocompletion=completer(complete), **more
    )


def _no_stdout(value: Any) -> Any:
    if str(value) == "-":
        raise UsageError("-o - means standard output, which this command cannot write to; give a name instead.")
    return value


def _option(field: Described) -> Any:
    about, limits = field.about, field.about.limits
    if about.max is None and about.min in (0, 1):  # these limits are too obvious to show
        limits = ""
    default = ", ".join(map(str, field.default)) if about.repeat and field.default else True
    return option(
        f"{about.help}  [{limits}]" if limits else about.help,
        *field.options,
        metavar=about.metavar or ("|".join(field.choices) if field.choices else None),
        group=about.group,
        complete=field.choices or about.complete,
        show_default=default,
    )


def _parameter(field: Described) -> inspect.Parameter:
    """Return a parameter of a command for a field: its option and its default."""
    default = field.default
    if isinstance(default, tuple):
        default = None if field.about.repeat else ",".join(map(str, default))
    annotation: Any = Annotated.__class_getitem__((_cli_type(field), _option(field)))  # type: ignore[attr-defined]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _cli_type(field: Described) -> Any:
    """Return the type that typer parses a field as.

    Choices and lists with commas are parsed as text; the settings check and convert them.
    """
    if field.about.repeat:
        return Optional[list[str]]  # noqa: UP045 - typer reads the annotation
    if field.about.parse is not None or get_origin(field.type) in (tuple, Literal):
        return str
    if field.choices:
        return Optional[str]  # noqa: UP045
    return field.type


def _value(field: Described, given: Any) -> Any:
    """Convert a value of the command line to the type of the field. Raises UsageError."""
    about = field.about
    if about.repeat:
        return tuple(given) if given else field.default
    if about.parse is not None:
        return about.parse(given)
    if get_origin(field.type) is not tuple:
        return given
    parts = [part.strip() for part in given.split(",") if part.strip()]
    kind = get_args(field.type)[0]
    try:
        return tuple(kind(part) for part in parts)
    except ValueError:
        raise UsageError(f"{field.option} must be numbers separated by commas, got '{given}'.") from None
