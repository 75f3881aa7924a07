"""Training of a collection: one trunk, many styles (``segnst train collection``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from segnst.errors import InputError, OutputError, WeightsError
from segnst.files import PICTURE_SUFFIXES
from segnst.perceptual.encoders import SMALL, load_encoder
from segnst.perceptual.style_loss import Painting
from segnst.style.collection import Member, load_collection, write_collection
from segnst.style.conditional import ConditionalNetwork, ConditionalTransformer, from_single, widened
from segnst.style.networks import new_network, with_rows
from segnst.style.row_encoder import encoder_of
from segnst.style.transformer import TransformerNetwork
from segnst.style.transformer_files import load_own
from segnst.train.card import Table, last_losses, today, write_card
from segnst.train.free_styles import FreeStyles
from segnst.train.run import Report, Run
from segnst.train.run_folder import make_folder
from segnst.train.settings import CollectionSettings, StyleSettings
from segnst.train.style import facts_of, prepare, preview_pictures, read_painting
from segnst.train.style_training import StyleTraining
from segnst.train.world import random_of
from segnst.untrusted import first_line, is_file, read_toml, real, rows
from segnst.weights import read_tensors

FACTORS = ("content", "style", "temporal")
WORDS = ("name", "title", "painter", "year", "terms")


def read_paintings(folder: Path, listing: Path | None = None) -> list[tuple[Path, Member, dict[str, float]]]:
    """The picture, description and loss factors of each painting.

    Without a list these are all pictures of the folder, named by their stems. A list is a TOML file with entries
    ``[[style]]`` of name, file, painter, title, year, terms, content, style and temporal. Raises InputError.
    """
    if not folder.is_dir():
        raise InputError(f"The folder of paintings {folder} does not exist.")
    if listing is None:
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
        if not found:
            raise InputError(f"There is no picture in {folder}.")
        return [(p, Member(p.stem), {}) for p in found]
    try:
        entries = rows(read_toml(listing, "list of paintings")["style"], "style")
    except (KeyError, ValueError) as error:
        raise InputError(f"{listing} is not a list of [[style]] entries ({first_line(error)}).") from error
    result = []
    for entry in entries:
        unknown = set(entry) - {*WORDS, *FACTORS, "file"}
        if unknown or "name" not in entry or "file" not in entry:
            what = f"'{sorted(unknown)[0]}' is not known" if unknown else "name or file is missing"
            raise InputError(f"In {listing}, {what} in the entry {entry.get('name', entry)}.")
        path = folder / str(entry["file"])
        if not is_file(path):
            raise InputError(f"The painting {path}, which {listing} names, does not exist.")
        member = Member(**{k: str(entry[k]) for k in WORDS if k in entry})
        try:
            factors = {k: real(entry[k], k) for k in FACTORS if k in entry}
        except ValueError as error:
            raise InputError(f"In {listing}, {error} in the entry {member.name}.") from error
        result.append((path, member, factors))
    names = [m.name for _, m, _ in result]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise InputError(f"{listing} names the style '{sorted(twice)[0]}' twice.")
    return result


def _start(init: Path | None, names: Sequence[str], settings: StyleSettings) -> tuple[ConditionalNetwork, bool]:
    """The network that training starts from, and whether its identity style is still untrained.

    It is a new one, a collection that has these styles (or as many others), or a single-style network that every style
    starts from.
    """
    styles, width, down = len(names) + 1, settings.width, settings.down
    if init is None:
        return new_network(settings.architecture, styles, width, down=down, identity=True), True
    tensors, metadata = read_tensors(init)
    if "conv1.norm.weight" in tensors:
        single = load_own(tensors, metadata)
        if not isinstance(single, TransformerNetwork) or single.width != width:
            raise WeightsError(f"{init} is not a transformer network of width {width}.")
        return widened(from_single(single, styles, identity=True), max(down, single.down)), True
    collection = load_collection(init)
    given = collection.net
    known = set(names) <= set(collection.names)
    if given.architecture != settings.architecture or given.width != width or not (known or given.styles == styles):
        raise WeightsError(
            f"{init} has {given.styles - 1} styles in a {given.architecture} of width {given.width}, "
            f"not {styles - 1} in a {settings.architecture} of {width}."
        )
    rows = [collection.names.index(n) for n in names] if known else list(range(len(names)))
    rows.append(given.styles - 1)  # the identity
    net = with_rows(given, rows, identity=True)
    return (widened(net, max(down, net.down)) if isinstance(net, ConditionalTransformer) else net), not given.identity


def _teacher(path: Path, names: Sequence[str]) -> ConditionalNetwork:
    collection = load_collection(path)
    if list(collection.names) != list(names):
        raise WeightsError(f"The teacher {path} has other styles, or in another order: {', '.join(collection.names)}.")
    return collection.net.eval().requires_grad_(False)


def _free_styles(
    folders: Sequence[Path], net: ConditionalNetwork, settings: StyleSettings, init: Path | None
) -> FreeStyles:
    """Pictures used as free styles, and the row encoder that learns from them (that of ``init`` if it has one)."""
    judge = load_encoder(SMALL).to(next(net.parameters()).device)
    styles = FreeStyles(folders, judge, net, random_of(settings.seed, -2))
    known = encoder_of(read_tensors(init)[0]) if init else None
    if known is not None:
        styles.rows.load_state_dict(known.state_dict())
    return styles


def train_collection(
    paintings: Path,
    data: Sequence[Path],
    name: str = "collection",
    *,
    listing: Path | None = None,
    out: Path = Path(),
    work: Path = Path("work"),
    settings: CollectionSettings = CollectionSettings(),  # noqa: B008 - frozen
    features: str = "vgg19",
    deep_features: str | None = None,
    init: Path | None = None,
    teacher: Path | None = None,
    free: Sequence[Path] = (),
    terms: str = "not stated",
    device: str = "auto",
    restart: bool = False,
    overwrite: bool = False,
    stop_at: int | None = None,
    preview_photos: Sequence[Path] = (),
    save_seconds: float = 240.0,
    offline: bool = False,
    report: Report | None = None,
) -> Path:
    """Train and write ``out/name.safetensors`` with its card ``out/name.md``; return the path.

    paintings  folder of style images
    listing    a list of the paintings to use, with their descriptions (``read_paintings``)
    free       folders of pictures from which a row encoder learns to turn any picture into a style
    teacher    a collection of the same styles in the same order to learn from (``StyleTraining``)
    The other arguments are those of ``train_style``. Raises as ``train_style`` does.
    """
    settings = settings if free else replace(settings, free_share=0.0)
    path = out / f"{name}.safetensors"
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; choose another name or allow --overwrite.")
    listed = read_paintings(paintings, listing)
    lesson = prepare(settings, data, features, deep_features, device, offline=offline)
    dev, photos = lesson.device, lesson.photos
    loss = lesson.loss([Painting(m.name, read_painting(p, settings), **factors) for p, m, factors in listed])
    net, anew = _start(init, [m.name for _, m, _ in listed], settings)
    net.to(dev).train()
    warmup = 0 if init else settings.warmup
    taught_by = _teacher(teacher, [m.name for _, m, _ in listed]).to(dev) if teacher else None
    if dev.type == "cuda":
        photos.keep(dev, round(1.5 * settings.crop))
    anything = _free_styles(free, net, settings, init) if free else None
    shown = preview_pictures(preview_photos, photos, dev)
    sources = [p.name for p, _, _ in listed]
    training = StyleTraining(
        net, loss, photos, settings, sources=sources, shown=shown, warmup=warmup, teacher=taught_by, free=anything
    )
    run = Run(training, work / name, restart=restart, save_seconds=save_seconds)
    run.go(stop_at=stop_at, report=report)
    if not run.first_process:
        return path
    training.teach_identity(settings.identity_steps, anew=anew)
    make_folder(out)
    metadata: dict[str, Any] = {"settings": json.dumps(asdict(settings)), "terms": terms, "date": today()}
    members = [m for _, m, _ in listed]
    write_collection(path, net, members, metadata, anything.rows if anything else None)
    also = ", and an encoder that turns any picture into a style" if free else ""
    about = (
        f"{len(members)} styles in one network ({net.architecture}, segnst.style) with conditional instance norm "
        f"(Dumoulin 2017), width {settings.width}{also}. {today()}."
    )
    taught = f", with the teacher `{teacher.stem}`" if teacher else ""
    begun = f"{f'`{init.stem}`' if init else 'nothing'}{taught}; {run.iteration} iterations"
    facts = facts_of(photos, data, features, deep_features, begun, terms, settings)
    styles = Table(("style", "painting", "file"), [(m.name, m, f"`{p.name}`") for p, m, _ in listed])
    title = "Mean weighted losses of the last 200 iterations, relative to the targets' energy:"
    write_card(path, about, facts, styles, last_losses(run.history, 200, title))
    return path
