"""What the options of ``segnst bench front`` name: paintings, and the methods that paint after them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from segnst.cli.options import names_of

if TYPE_CHECKING:
    from segnst.bench.front import Method, Picture, Yardstick

N = TypeVar("N", int, float)


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    from segnst.errors import UsageError

    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise UsageError(f"{option} takes {form}, got '{text}'.")
    return name, value


def paintings_of(
    folder: Path | None,
    listing: Path | None,
    given: Sequence[str],
    free: Sequence[Path],
) -> list[Picture]:
    """All paintings by name: of a folder, given one by one, and those of ``free`` that are not among them."""
    from segnst.bench.front import Picture, refuse_twice, to_width
    from segnst.errors import UsageError
    from segnst.train.collection import read_paintings
    from segnst.video.pictures import read_picture

    if listing is not None and folder is None:
        raise UsageError("--list needs the folder PAINTINGS, whose files it names.")
    found = [(m.name, path) for path, m, _ in read_paintings(folder, listing)] if folder is not None else []
    found += [(name, Path(path)) for name, path in (_pair(text, "--painting", "NAME=PATH") for text in given)]
    known = {path.resolve() for _, path in found}
    for more in free:
        found += [(m.name, path) for path, m, _ in read_paintings(more) if path.resolve() not in known]
    if not found:
        raise UsageError("There is no painting to measure against: give a folder of them, or --painting NAME=PATH.")
    refuse_twice([name for name, _ in found], "paintings")
    return [Picture(name, to_width(read_picture(path, what="painting"))) for name, path in found]


def collections_of(given: Sequence[str], *, default: bool) -> list[tuple[Path, str | None]]:
    """The file of each collection and the name of its method, which may be None; by default, the bundled collection."""
    found: list[tuple[Path, str | None]] = []
    for text in given:
        label, equals, path = text.partition("=")
        named = bool(equals) and not Path(text).exists()
        found.append((Path(path if named else text), label if named else None))
    if not found and default:
        from segnst.style.checkpoints import picture_collection

        bundled = picture_collection()
        found = [(bundled, None)] if bundled is not None else []
    return found


def encoded(
    collections: Sequence[tuple[Path, str | None]],
    pictures: Sequence[Picture],
    frames: Sequence[Picture],
    refine: str | None,
    features: str | None,
    offline: bool,
) -> list[Method]:
    """The methods that paint after any picture; collections without an encoder have none."""
    from segnst.bench.front_methods import Encoded, Refinement
    from segnst.errors import UsageError
    from segnst.perceptual.encoders import load_encoder
    from segnst.style.collection import load_collection
    from segnst.style.refine import best_judge

    able = [(path, name) for path, name in collections if load_collection(path).encoder is not None]
    if not able:
        raise UsageError(
            "--pictures needs a collection with an encoder, which segnst train collection … --free makes; give it by "
            "--collection."
        )
    methods: list[Method] = [Encoded(path, pictures, name) for path, name in able]
    seconds = numbers(refine, "--refine", float) if refine is not None else []
    if seconds:
        judge = load_encoder(best_judge(features), offline=offline)
        methods += [Encoded(p, pictures, n, Refinement(s, frames, judge)) for p, n in able for s in seconds]
    return methods


def networks(
    collections: Sequence[tuple[Path, str | None]], checkpoints: Sequence[str], names: Sequence[str], *, strict: bool
) -> list[Method]:
    """The methods of trained styles. Unless ``strict``, collections that have no style of a painting are left out."""
    from segnst.bench.front_methods import of_checkpoints, of_collection
    from segnst.style.collection import load_collection

    methods: list[Method] = []
    for file, label in collections:
        if strict or set(load_collection(file).names) & set(names):
            methods.append(of_collection(file, names, label))
    grouped: dict[str, list[tuple[str, str]]] = {}
    for text in checkpoints:
        name, path = _pair(text, "--checkpoint", "[METHOD:]NAME=PATH")
        method, colon, painting = name.rpartition(":")
        grouped.setdefault(method if colon else Path(path).stem, []).append((painting, path))
    methods += [of_checkpoints(pairs, method, names) for method, pairs in grouped.items()]
    return methods


def others(painted: Sequence[str], names: Sequence[str]) -> list[Method]:
    from segnst.bench.front_methods import Painted

    pairs = [_pair(text, "--painted", "METHOD=FOLDER") for text in painted]
    return [Painted(name, Path(path), names) for name, path in pairs]


def numbers(text: str, option: str, kind: Callable[[str], N]) -> list[N]:
    from segnst.errors import UsageError

    what = "numbers of steps" if kind is int else "numbers of seconds"
    try:
        return [kind(part) for part in names_of(text)]
    except ValueError as error:
        raise UsageError(f"{option} takes {what}, separated by commas, such as 20,40,60, got '{text}'.") from error


def optimized(yardstick: Yardstick, steps: list[int] | None, on: str | None, names: Sequence[str]) -> list[Method]:
    from segnst.bench.front_methods import FromPhoto, check_painting
    from segnst.errors import UsageError

    if steps is None:
        if on is not None:
            raise UsageError("--lbfgs-on needs --lbfgs with numbers of steps.")
        return []
    chosen = names if on is None else names_of(on)
    for name in chosen:
        check_painting(name, names)
    return [FromPhoto(yardstick, steps, chosen)]
