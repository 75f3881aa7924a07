"""Find and load styles: networks of one style, styles of collections, and pictures."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from segnst import registry
from segnst.errors import InputError, PlanError, SegnstWarning, WeightsError, did_you_mean
from segnst.style.collection import FORMAT as COLLECTION
from segnst.style.collection import Collection, load_collection, members_of
from segnst.style.limits import MOST_WIDTH
from segnst.style.picture_files import is_picture
from segnst.untrusted import check_regular, first_line, is_file, printable, short, whole
from segnst.weights import (
    bundled_dir,
    holds_tensor,
    home_dir,
    read_metadata,
    read_tensors,
    safetensors_metadata,
    sha256,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from segnst.style.pictures import StylePicture
    from segnst.style.stylizer import InCollection

FORMAT = "segnst-johnson"  # metadata key "format" of our own files of one style
GROWN_FROM = "grown_from"  # metadata key: SHA-256 of the bundled collection of which a file is a copy with more styles


@dataclass(frozen=True, slots=True)
class StyleWeights:
    """A loaded style: its network, the file it came from, and the metadata of that file.

    member   the style's entry in a collection, if it is from one; ``net`` is then the network for that style alone
    picture  the user's picture that the style is made of, if it is; ``path`` is then that of the collection
    """

    name: str
    net: nn.Module
    path: Path
    sha256: str
    metadata: dict[str, str]
    member: InCollection | None = None
    picture: StylePicture | None = None

    @property
    def painter(self) -> nn.Module | InCollection:
        """What ``PlanStylizer`` needs to apply the style."""
        return self.member or self.net


@dataclass(frozen=True, slots=True)
class Listed:
    """A style that can be chosen by name: its file, and the title of its painting.

    width       channels of its network's first convolution
    collection  whether the file is a collection
    painting    a small picture of the painting, if there is one (``painting_of``)
    """

    name: str
    path: Path
    title: str
    width: int
    collection: bool
    painting: Path | None = None


def style_files() -> tuple[list[Path], list[Path]]:
    """The weights files of ``models/``, and those of ``$SEGNST_HOME``.

    A copy of a bundled collection to which ``segnst train style`` has added a style (``GROWN_FROM``) takes its place.
    """
    bundled, own = (sorted(folder.glob("*.safetensors")) for folder in (bundled_dir(), home_dir()))
    grown = {origin: path for path in own if (origin := read_metadata(path).get(GROWN_FROM))}
    if grown:
        bundled = [grown.get(sha256(path), path) for path in bundled]
    return bundled, [path for path in own if path not in bundled]


def known_styles(*, fast: bool = False) -> dict[str, Listed]:
    """All styles in ``models/`` and ``$SEGNST_HOME`` by name, those of collections first.

    fast  take a style that is in several collections from the one with the narrowest network, instead of the widest

    Unreadable files are left out, with a SegnstWarning.
    """
    singles: dict[str, Listed] = {}
    members: dict[str, Listed] = {}
    for path in (p for folder in style_files() for p in folder):
        try:
            found = _listed(path)
        except (WeightsError, ValueError) as error:
            said = f"The weights {path} are ignored: {first_line(error)}."
            warnings.warn(said, SegnstWarning, stacklevel=2)
            continue
        for style in found:
            if not style.collection:
                singles.setdefault(style.name, style)
                continue
            known = members.get(style.name)
            if known is None or (style.width < known.width if fast else style.width > known.width):
                members[style.name] = style
    return {**members, **singles}


def picture_collection(*, fast: bool = False) -> Path | None:
    """The collection that paints as pictures do: one that has an encoder, and is bundled if any bundled one has.

    fast  take the one with the narrowest network, instead of the widest

    Returns None where no collection has an encoder.
    """
    for files in style_files():
        able: list[tuple[int, Path]] = []
        for path in files:
            with contextlib.suppress(WeightsError, ValueError):  # ``known_styles`` warns of unreadable files
                width = next((style.width for style in _listed(path) if style.collection), 0)
                if width and holds_tensor(path, "encoder.base"):
                    able.append((width if fast else -width, path))
        if able:
            return min(able, key=lambda found: found[0])[1]
    return None


def _with_paintings(*, fast: bool) -> Path | None:
    """A bundled collection with a picture of every painting, so that the style nearest to any picture can be found."""
    for style in known_styles(fast=fast).values():
        if style.collection and style.painting and all(listed.painting for listed in _listed(style.path)):
            return style.path
    return None


def _listed(path: Path) -> list[Listed]:
    """The styles in a weights file; empty if it holds something else. Raises WeightsError, ValueError."""
    metadata = safetensors_metadata(path)
    kind = metadata.get("format")
    if kind not in (FORMAT, COLLECTION):
        return []
    width = whole(metadata.get("width", 0), "its width", 0, MOST_WIDTH)
    if kind == FORMAT:
        return [Listed(path.stem, path, printable(metadata.get("title", "")), width, False)]
    members = members_of(metadata)
    return [Listed(m.name, path, str(m), width, True, painting_of(path, m.name, metadata)) for m in members]


def painting_of(path: Path, name: str, metadata: Mapping[str, str]) -> Path | None:
    """The small picture of a style's painting next to its collection, or None: the bundled ones have them."""
    folder = bundled_dir() if metadata.get(GROWN_FROM) else path.parent
    painting = folder / "paintings" / f"{name}.webp"
    return painting if is_file(painting) else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a style is found: its file, and for a collection the name of the style in it, or the user's picture."""

    path: Path
    name: str | None = None
    picture: Path | None = None


def locate_style(style: str, *, fast: bool = False) -> Place:
    """Find the file of a style.

    ``style`` is the name of a known style, the path of a checkpoint or of a picture, or ``PATH:NAME`` for one style of
    a collection, where NAME may be the path of a picture as well.
    Raises PlanError for an unknown name (it suggests the nearest one), WeightsError if the file does not exist or no
    collection can paint as a picture.
    """
    path = _expanded(style)
    if is_file(path):
        return _for_picture(path, fast) if is_picture(path) else Place(path)
    file, colon, name = style.rpartition(":")
    if colon and is_file(_expanded(file)):
        within = _expanded(name)
        return Place(_expanded(file), name, within if is_picture(within) else None)
    if path.suffix or len(path.parts) > 1:
        if is_picture(path):
            return _for_picture(path, fast)
        try:
            check_regular(_expanded(file or style), "style checkpoint")
        except InputError as error:
            raise WeightsError(str(error)) from error
    known = known_styles(fast=fast)
    if style not in known:
        raise PlanError(
            f"There is no style '{short(style)}'.{did_you_mean(style[:100], known)} "
            f"Known: {', '.join(known) or 'none'}. A path to a picture or to a checkpoint works too."
        )
    return Place(known[style].path, style if known[style].collection else None)


def _for_picture(picture: Path, fast: bool) -> Place:
    path = picture_collection(fast=fast) or _with_paintings(fast=fast)
    if path is None:
        raise WeightsError(
            f"{picture} is a picture, and no collection here has an encoder that makes a style of any picture. Install "
            f"segnst again, or learn the painting: segnst train style {picture} --data PHOTOS --name mine; then give "
            "mine.safetensors as the style."
        )
    return Place(path, None, picture)


def _expanded(style: str) -> Path:
    try:
        return Path(style).expanduser()
    except RuntimeError:  # ~NOBODY
        return Path(style)


@lru_cache(maxsize=4)
def _collection(path: Path, _changed: int) -> Collection:
    return load_collection(path)


def _in_collection(collection: Collection, name: str | None) -> StyleWeights:
    if name not in collection.names:
        near = did_you_mean(name or "", collection.names)
        file = collection.path
        raise WeightsError(
            f"{file} is a collection of styles; choose one of them as {file.name}:STYLE.{near} "
            f"It has: {', '.join(collection.names)}."
        )
    from segnst.style.conditional import OneStyle
    from segnst.style.stylizer import InCollection

    member = collection.members[collection.names.index(name)]
    net = OneStyle(collection.net, collection.code({name: 1.0})).eval().requires_grad_(False)
    metadata = collection.metadata | {"title": str(member), "style": name}
    inside = InCollection(collection, name)
    return StyleWeights(name, net, collection.path, collection.sha256, metadata, inside)


def load_styles(styles: Sequence[str], *, fast: bool = False) -> tuple[StyleWeights, ...]:
    """Load styles by name or path (``known_styles``, ``locate_style``).

    Styles of one collection share one network. For each picture among them, that network has one style more.

    Raises WeightsError when a file is missing, broken or of an unknown kind, PlanError when no style has a name, and
    InputError for a picture that cannot be used.
    """
    from segnst.style.pictures import read_style_picture, row_of

    places = [locate_style(style, fast=fast) for style in styles]
    pictures: dict[Path, StylePicture] = {}
    rows: dict[Path, dict[str, Tensor]] = {}
    for place in places:
        if place.picture is not None and place.picture not in pictures:
            collection = _collection(place.path, place.path.stat().st_mtime_ns)
            if place.name in collection.names:  # a style of the collection that is called like a picture
                continue
            picture = read_style_picture(place.picture)
            row, kept = row_of(collection, picture)
            pictures[place.picture] = replace(picture, row=kept)
            rows.setdefault(place.path, {})[str(place.picture.absolute())] = row

    def collection_of(path: Path) -> Collection:
        collection = _collection(path, path.stat().st_mtime_ns)
        if path not in grown:
            grown[path] = collection.with_styles(rows[path]) if path in rows else collection
        return grown[path]

    grown: dict[Path, Collection] = {}
    return tuple(
        _of_picture(collection_of(place.path), pictures[place.picture])
        if place.picture in pictures
        else _load(place, collection_of)
        for place in places
    )


def load_style(style: str, *, fast: bool = False) -> StyleWeights:
    """Load one style. Raises as ``load_styles`` does."""
    return load_styles([style], fast=fast)[0]


def _of_picture(collection: Collection, picture: StylePicture) -> StyleWeights:
    """The style of a collection that ``load_styles`` has made of a picture."""
    style = _in_collection(collection, str(picture.path.absolute()))
    metadata = style.metadata | {"title": picture.path.name, "style": picture.path.stem}
    return replace(style, name=picture.path.stem, metadata=metadata, picture=picture)


def _load(place: Place, collection_of: Callable[[Path], Collection]) -> StyleWeights:
    path = place.path
    if place.name is not None or read_metadata(path).get("format") == COLLECTION:
        return _in_collection(collection_of(path), place.name)
    tensors, metadata = read_tensors(path)
    for name in registry.STYLE_CHECKPOINTS:
        loader = registry.get(registry.STYLE_CHECKPOINTS, name, "style checkpoint")
        try:
            net = loader(tensors, metadata)
        except (LookupError, RuntimeError, TypeError, ValueError, WeightsError) as error:
            reason = first_line(error)
            raise WeightsError(
                f"{path} looks like a style checkpoint ({name}), but cannot be loaded: {reason}."
            ) from error
        if net is not None:
            net.eval().requires_grad_(False)
            return StyleWeights(metadata.get("style") or path.stem, net, path, sha256(path), metadata)
    raise WeightsError(
        f"{path} is not a known kind of transformer network (Johnson et al. 2016, with instance normalization)."
    )
