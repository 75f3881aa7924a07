"""Training a style that is added to a collection (``segnst train style … --into``)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from segnst.errors import InputError, OutputError, WeightsError, did_you_mean
from segnst.files import write_text
from segnst.perceptual.style_loss import Painting, StyleLoss
from segnst.style.checkpoints import GROWN_FROM, style_files
from segnst.style.collection import FORMAT, Collection, Member, load_collection, write_collection
from segnst.style.networks import with_rows
from segnst.style.pictures import read_style_picture, row_of
from segnst.train.card import last_losses, section
from segnst.train.run import Report, Run
from segnst.train.run_folder import make_folder
from segnst.train.settings import AddedStyleSettings, StyleSettings
from segnst.train.style import prepare, preview_pictures, read_painting
from segnst.train.style_training import StyleTraining
from segnst.train.world import random_of
from segnst.untrusted import is_file
from segnst.weights import bundled_dir, home_dir, read_metadata


def collection_files(into: Path) -> tuple[Path, Path]:
    """The file of a collection, given by its path or name, and the file that gets the new style.

    A bundled collection is left as it is: its copy in ``$SEGNST_HOME`` gets the style and is used in its place.
    Raises WeightsError when no collection has the name.
    """
    if is_file(into) or into.suffix or len(into.parts) > 1:
        return into, into
    bundled, own = style_files()
    known = {path.stem: path for path in (*bundled, *own) if read_metadata(path).get("format") == FORMAT}
    if into.name not in known:
        raise WeightsError(
            f"There is no collection '{into}'.{did_you_mean(into.name, known)} Known: {', '.join(known)}. "
            "The path of a file works too."
        )
    path = known[into.name]
    return path, home_dir() / path.name if path.parent == bundled_dir() else path


@dataclass(frozen=True)
class _Start:
    """The row [R] that a new style starts as, and what it is."""

    row: Tensor
    what: str


def _nearest(collection: Collection, painting: Path, loss: StyleLoss, photos: Tensor) -> _Start:
    """The row with the smallest loss for a painting: a style of the collection, or what its encoder makes of it."""
    rows = collection.net.rows()
    starts = [_Start(rows[k], f"the style `{name}`") for k, name in enumerate(collection.names)]
    if collection.encoder is not None:
        row, kept = row_of(collection, read_style_picture(painting))
        starts.append(_Start(row.to(rows), "the refined row of the picture" if kept else "the encoder's row"))
    wanted = loss.wanted(torch.zeros(len(photos), dtype=torch.long, device=photos.device))

    def total(start: _Start) -> float:
        painted = collection.net.painted_by(photos, start.row.expand(len(photos), -1))
        return float(sum(values.mean() for values in loss(painted, photos, wanted).values()))

    with torch.inference_mode():
        return min(starts, key=total)


def add_style(
    painting: Path,
    data: Sequence[Path],
    member: Member,
    into: Path,
    *,
    work: Path = Path("work"),
    settings: StyleSettings = AddedStyleSettings(),  # noqa: B008 - frozen
    features: str = "vgg19",
    deep_features: str | None = None,
    device: str = "auto",
    restart: bool = False,
    overwrite: bool = False,
    stop_at: int | None = None,
    preview_photos: Sequence[Path] = (),
    save_seconds: float = 120.0,
    offline: bool = False,
    report: Report | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Path:
    """Add a style to a collection, whose trunk and other styles stay as they are; return the path.

    Only the new style's scales and shifts are trained. They start as those of the style that comes closest to it, or as
    what the collection's encoder makes of the painting. A style that is replaced keeps its title, painter and year if
    ``member`` has no title.

    into  the file of a collection, or the name of one (``collection_files``)
    tell  called with sentences about what is done
    The settings' width and architecture do not matter. Raises as ``train_style`` does; OutputError when the collection
    has a style of this name and ``overwrite`` is not set.
    """
    source_file, target = collection_files(into)
    collection = load_collection(source_file)
    exists = member.name in collection.names
    if exists and not overwrite:
        raise OutputError(
            f"{source_file} has a style '{member.name}' already; choose another name or allow --overwrite."
        )
    if exists and not member.title:
        member = replace(collection.members[collection.names.index(member.name)], terms=member.terms)
    if not painting.is_file():
        raise InputError(f"The painting {painting} does not exist.")
    settings = replace(settings, width=collection.net.width)
    folder = work / f"{source_file.stem}_{member.name}"
    lesson = prepare(settings, data, features, deep_features, device, offline=offline)
    make_folder(folder)
    make_folder(target.parent)
    dev, photos = lesson.device, lesson.photos
    tell(
        f"Adding the style '{member.name}' to {source_file}. Its network and its other "
        f"{len(collection.names) - exists} styles stay as they are; {collection.net.rows().shape[1]} scales and shifts "
        f"are learned from {painting.name} on {len(photos.paths)} photos, with the perceptual network "
        f"{lesson.encoder.name}."
    )
    loss = lesson.loss([Painting(member.name, read_painting(painting, settings))])
    collection.net.to(dev)
    batch = photos.crops(4, settings.crop, random_of(settings.seed, -1), plain=0.0).to(dev)
    start = _nearest(collection, painting, loss, batch)
    net = with_rows(collection.net, [0], identity=False)
    with torch.no_grad():
        for layer, scale, shift in net.split_rows(start.row[None]):
            layer.gamma.copy_(scale)
            layer.beta.copy_(shift)
    source = collection.net.state_dict()
    owned = {k for k in source if k.endswith(("gamma", "beta"))}
    for key, parameter in net.named_parameters():
        parameter.requires_grad_(key in owned)
    tell(
        f"It starts as {start.what.replace('`', chr(39))}, which comes closest, and takes {settings.iterations} steps. "
        f"Checkpoint, curves and previews are in {folder}; the same command resumes an interrupted run."
    )
    began = time.monotonic()
    shown = preview_pictures(preview_photos, photos, dev)
    training = StyleTraining(net.train(), loss, photos, settings, sources=[painting.name], shown=shown)
    run = Run(training, folder, restart=restart, save_seconds=save_seconds)
    run.go(stop_at=stop_at, report=report)
    if not run.first_process:
        return target
    minutes = (time.monotonic() - began) / 60
    at = collection.names.index(member.name) if exists else len(collection.members)
    learned = net.state_dict()
    rows = {k: torch.cat((v[:at], learned[k], v[at + exists :])) if k in owned else v for k, v in source.items()}
    members = (*collection.members[:at], member, *collection.members[at + exists :])
    places = [*range(at), 0, *range(at + exists, collection.net.styles)]
    grown = with_rows(collection.net, places, identity=collection.net.identity)
    grown.load_state_dict(rows)
    origin = {} if target == source_file else {GROWN_FROM: collection.sha256}
    write_collection(target, grown, members, {**collection.metadata, **origin}, collection.encoder)
    about = (
        f"{member}, {'trained again on' if exists else 'added to'} the frozen trunk, starting from {start.what}: "
        f"{run.iteration} iterations, {minutes:.1f} minutes. "
        f"Painting: `{painting.name}`. Terms: {member.terms or 'not stated'}."
    )
    losses = last_losses(
        run.history, 50, "Mean weighted losses of the last 50 iterations, relative to the targets' energy:"
    )
    _extend_card(source_file, target, member.name, section(member.name, about, {}, [losses], level=2))
    use = member.name if into.name == source_file.stem else f"{target}:{member.name}"
    tell(f"{target} has the new style: -s car={use}")
    return target


def _extend_card(source: Path, target: Path, name: str, added: str) -> None:
    """Write the card of ``target``: that of ``source`` with a section about the new style, in place of an older one."""
    card = source.with_suffix(".md")
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {source.stem}\n"
    text = re.sub(rf"\n## {re.escape(name)}\n.*?(?=\n## |\Z)", "", text, flags=re.DOTALL)
    write_text(target.with_suffix(".md"), f"{text.rstrip()}\n\n{added}")
