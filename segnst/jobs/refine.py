"""``--refine``: improves the rows of the pictures of a plan before a run, and keeps them for later runs."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch
from torch import Tensor

from segnst.assembly import build
from segnst.config import Settings
from segnst.device import choose_device
from segnst.errors import InputError
from segnst.jobs.events import Context
from segnst.perceptual.encoders import SMALL, Encoder, load_encoder
from segnst.plan import parse_plan
from segnst.style.checkpoints import StyleWeights, load_styles, locate_style
from segnst.style.kept_rows import KeptRow, check_place, keep_row, kept_row
from segnst.style.refine import CROP, best_judge, refine_row
from segnst.untrusted import is_file
from segnst.video.read import Reader, open_reader

FRAMES = 6  # frames of the input that a row is refined on
LARGEST = 640  # px of their long side
UNASKED = 60.0  # seconds of refining a picture for which the collection has no encoder, unless --refine says otherwise


def refine_pictures(input: Path, settings: Settings, context: Context) -> None:
    """Improve the row of each picture of the plan for ``settings.refine`` seconds, on frames of the input.

    A row that was refined for as long before, with the same perceptual network, is left as it is. A picture for which
    the collection has no encoder is refined for ``UNASKED`` seconds if the settings do not say for how long.
    Raises what a run would raise before its first frame, OutputError where the rows cannot be kept, and Cancelled.
    """
    if not settings.refine and all(locate_style(s, fast=settings.fast).picture is None for s in _styles(settings)):
        return
    with context.loading("load the pictures"):
        styles = load_styles(_styles(settings), fast=settings.fast)
        pictures = {s.picture.sha256: s for s in styles if s.picture is not None}
        if not pictures:
            context.warn("--refine improves pictures that are used as styles; there is none in the plan.")
            return
        name = best_judge(settings.refine_features)
        left = {k: seconds for k, style in pictures.items() if (seconds := _left(style, name, settings))}
        judge = load_encoder(name, offline=settings.offline) if left else None
        if judge is None:
            return
        with _opened(input, settings, settings.start, settings.max_size) as reader:
            build(settings, reader)  # whatever is wrong with the run is said before the wait
    label = Path(name).name if is_file(Path(name)) else judge.name  # the small one may stand in for VGG
    frames = some_frames(input, settings)
    for checksum, seconds in left.items():
        _refine(pictures[checksum], seconds, frames, judge, choose_device(settings.device), context, label=label)


def _styles(settings: Settings) -> tuple[str, ...]:
    return parse_plan(settings.styles).styles


def _kept(style: StyleWeights) -> tuple[Tensor, str, str, KeptRow | None]:
    """The row [R] of a picture, the checksums of the trunk and of the picture, and what was kept of earlier runs."""
    assert style.member is not None and style.picture is not None
    collection = style.member.collection
    row, trunk = collection.net.rows()[collection.names.index(style.member.name)], collection.trunk()
    return row, trunk, style.picture.sha256, kept_row(trunk, style.picture.sha256, len(row))


def _left(style: StyleWeights, name: str, settings: Settings) -> float:
    """For how many seconds a picture's row is still to be refined by the perceptual network ``name``.

    Unless the user has chosen a network, work by any other counts as well; only VGG19 improves on the small one.
    """
    _, trunk, checksum, kept = _kept(style)
    assert style.member is not None
    raw = kept is None and style.member.collection.encoder is None
    if not settings.refine and not raw:
        return 0.0
    check_place(trunk, checksum)
    if kept is None:
        return settings.refine or UNASKED
    better = (
        kept.judge == SMALL and name != SMALL if settings.refine_features is None else kept.judge != Path(name).name
    )
    return settings.refine if better else max(0.0, settings.refine - kept.seconds)


def _refine(
    style: StyleWeights,
    seconds: float,
    frames: list[Tensor],
    judge: Encoder,
    device: torch.device,
    context: Context,
    *,
    label: str,
) -> None:
    assert style.member is not None and style.picture is not None
    row, trunk, checksum, kept = _kept(style)
    name = style.picture.path.name
    count = f"{len(frames)} frame{'s' if len(frames) > 1 else ''}"
    context.stage(f"refine {name}")
    context.note(f"{name} is refined for {seconds:g} s on {count} of the input, by the perceptual network {label}.")

    def tell(steps: int, left: float, losses: dict[str, float]) -> None:
        share = 1 - left / seconds
        context.step(0, max(steps, round(steps / max(share, 1e-3))), {**losses, "step": steps, "size": CROP})

    net = style.member.collection.net.to(device)
    found = refine_row(net, style.picture.rgb, row, frames, judge, seconds, tell)
    spent = seconds + (kept.seconds if kept is not None and kept.judge == label else 0.0)
    place = keep_row(trunk, checksum, KeptRow(found.row, spent, label), title=name, collection=style.path.name)
    context.note(
        f"{name}: the loss went from {found.before:.2f} to {found.after:.2f} in {found.steps} steps. "
        f"Later runs use this row, which is kept in {place}."
    )


def _opened(input: Path, settings: Settings, start: float | None, size: int | None) -> Reader:
    return open_reader(input, start=start, end=settings.end, max_size=size, fps=settings.fps, threaded=False)


def some_frames(input: Path, settings: Settings) -> list[Tensor]:
    """Up to ``FRAMES`` frames [1,3,H,W] that are spread evenly over the part of an input that is styled."""
    with _opened(input, settings, settings.start, LARGEST) as reader:
        expected = reader.frames_expected or 1
        span = float(expected / reader.info.fps)
        frames = [next(iter(reader)).rgb]
    for k in range(1, min(FRAMES, expected)):
        at = (settings.start or 0.0) + k * span / min(FRAMES, expected)
        with (
            contextlib.suppress(InputError),  # the header may promise more than there is
            _opened(input, settings, round(at, 3), LARGEST) as reader,
        ):
            frames.append(next(iter(reader)).rgb)
    return frames
