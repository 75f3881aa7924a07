"""Previews of a run: an estimate of its cost, and contact sheets of some frames or of all styles."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from segnst.assembly import Parts, build, memory_advice, weights_used
from segnst.config import Settings
from segnst.device import choose_device
from segnst.errors import InputError, OutputError
from segnst.jobs.events import Context, JobReport
from segnst.jobs.outputs import check_apart, folder_for, given_files, open_input, output_path
from segnst.jobs.refine import refine_pictures
from segnst.pipeline import State
from segnst.plan import ORIGINAL, Entry, Plan, StyleTerm, parse_plan, short_name
from segnst.sheet import card, fitted, layer_picture, write_sheet
from segnst.stabilize.cuts import is_cut
from segnst.style.checkpoints import StyleWeights, load_styles, painting_of
from segnst.style.stylizer import PlanStylizer
from segnst.types import Clip
from segnst.video.paths import check_output
from segnst.video.pictures import read_picture
from segnst.video.read import Reader, open_reader


@dataclass
class Survey(JobReport):
    """What a run would do: its plan, weights and cost (``seconds_a_frame``, and ``minutes`` for all frames)."""

    input: Path
    output: Path
    size: str
    frames: int | None
    plan: list[str]
    segmenter: str | None
    weights: dict[str, str]
    device: str
    engine: str
    seconds_a_frame: float
    minutes: float
    warnings: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


def survey(
    input: str | Path,
    output: str | Path | None,
    settings: Settings,
    *,
    overwrite: bool = False,
    context: Context | None = None,
) -> Survey:
    """Say what a run would do and cost, measured by styling one frame. Writes nothing.

    Raises what the run would raise before its first frame; an output that exists is a warning.
    """
    context = context or Context()
    path = Path(input)
    plan = parse_plan(settings.styles)
    target = output_path(path, output, plan.styles, overwrite=True, stdout=True)
    check_apart({"--output": target}, given_files(settings))
    refused = None
    if not overwrite:
        try:
            output_path(path, output, plan.styles, stdout=True)
        except OutputError as error:
            refused = f"{error} A run would end here."
    context.stage("open the input")
    with open_input(path, settings, pipe=True) as reader:
        with context.loading() as said:
            parts = build(settings, reader)
        context.stage("style one frame")
        frame: Clip | None = next(iter(reader), None)
        if frame is None:
            raise InputError(f"{path} has no frame.")
        with memory_advice(f"{reader.width}x{reader.height}"):
            parts.pipeline.frame(frame.rgb, State())  # the first one also warms up
            context.check()
            began = time.perf_counter()
            styled, _ = parts.pipeline.frame(frame.rgb, State())
            cost = time.perf_counter() - began
        context.thumbnail(0, styled.rgb)
        warnings = [*([refused] if refused else []), *said, *reader.warnings]
        for warning in warnings:
            context.warn(warning)
        return Survey(
            input=path,
            output=target,
            size=f"{reader.width}x{reader.height}",
            frames=reader.frames_expected,
            plan=[str(e) for e in plan.entries],
            segmenter=parts.segmenter.name if parts.segmenter else None,
            weights={name: w["path"] for name, w in weights_used(parts).items()},
            device=str(parts.pipeline.device),
            engine=str(parts.engine),
            seconds_a_frame=round(cost, 3),
            minutes=round(cost * (reader.frames_expected or 0) / 60, 1),
            warnings=warnings,
            settings=asdict(settings),
        )


def _painting(style: StyleWeights, like: Tensor) -> Tensor:
    """The user's picture, the style's painting, or else a card with its title, in the shape of [1,3,H,W]."""
    size = (like.shape[-2], like.shape[-1])
    if style.picture is not None:
        return fitted(style.picture.rgb[0], size)
    bundled = painting_of(style.path, style.name, style.metadata)
    for path in (style.path.with_suffix(".jpg"), bundled):
        if path is not None and path.is_file():
            return fitted(read_picture(path)[0], size)
    title = style.metadata.get("title") or style.path.name
    return card([style.name, *(part.strip() for part in title.split(","))], size)


def _row(parts: Parts, number: int, rgb: Tensor, state: State) -> tuple[list[tuple[str, Tensor]], dict[str, Any]]:
    """Return the pictures of one frame with their titles, and the numbers of its masks."""
    styled, after = parts.pipeline.frame(rgb, state)
    row = [(f"frame {number}", rgb[0])]
    numbers: dict[str, Any] = {"frame": number}
    stylizer = parts.pipeline.stylizer
    for name, style in zip(parts.plan.styles, parts.styles, strict=True):
        row.append((f"painting: {style.name}", _painting(style, rgb)))
        if isinstance(stylizer, PlanStylizer):
            row.append((f"whole frame: {style.name}", stylizer.paint(rgb.to(parts.pipeline.device), name)[0].cpu()))
    if styled.masks is not None:
        soft = styled.masks.soft[0].cpu()
        shares = zip(styled.masks.layers, soft.mean((1, 2)).tolist(), strict=True)
        numbers["area"] = {name: round(100 * share, 2) for name, share in shares}
        sure = parts.segmenter.confidence(after.segmenter) if parts.segmenter else {}
        if sure:
            numbers["confidence"] = {name: round(values[-1], 3) for name, values in sure.items()}
        covered = [f"{name} {share:.1f} %" for name, share in list(numbers["area"].items())[:-1]]
        row.append((f"mask: {', '.join(covered)}", layer_picture(soft)))
        row.append(("mask over the frame", layer_picture(soft, rgb[0])))
    row.append(("result", styled.rgb[0].cpu()))
    return row, numbers


@dataclass
class PreviewReport(JobReport):
    """The path of the contact sheet, and the number of frames on it.

    masks  for each of these its number, the percent of it that each layer covers (``area``), and how sure it is of
           objects that are followed (``confidence``)
    """

    output: Path
    frames: int
    weights: dict[str, dict[str, str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    masks: list[dict[str, Any]] = field(default_factory=list)


def states(parts: Parts, clips: Iterable[Clip]) -> Iterator[tuple[int, Clip, State]]:
    """Yield (number, frame, state) for each frame of a clip; the state has the segmenter's carry of the earlier frames.

    Only a segmenter that is ``in_order`` has to segment every frame for that; others skip the frames.
    """
    segmenter, carry, scene = parts.segmenter, None, None
    for number, clip in enumerate(clips):
        rgb = clip.rgb.to(parts.pipeline.device)
        cut, scene = is_cut(rgb, scene)
        if segmenter is not None and cut:
            carry = segmenter.after_cut(carry)
        yield number, clip, State(segmenter=carry)
        if segmenter is not None:
            carry = segmenter(rgb, carry)[1] if segmenter.in_order else segmenter.skip(carry)


def preview_sheet(
    input: str | Path,
    output: str | Path | None,
    settings: Settings,
    *,
    count: int = 4,
    overwrite: bool = False,
    context: Context | None = None,
) -> PreviewReport:
    """Draw a PNG of ``count`` frames spread over the input: source, painting, whole frame styled, mask, result.

    Each frame is styled by itself, without temporal stabilization. If the length of the clip is not known, the whole
    clip is decoded to count its frames.

    Raises the errors of a run, and OutputError when the PNG exists and ``overwrite`` is not set.
    """
    context = context or Context()
    path = Path(input)
    plan = parse_plan(settings.styles)
    if output is not None and Path(output).suffix.lower() != ".png":
        raise OutputError(f"A preview is a PNG; {output} has another suffix.")
    names = "_".join(short_name(s) for s in plan.styles) or ORIGINAL
    default = Path("results") / f"{path.stem}_{names}_preview.png"
    target = output_path(path, output, plan.styles, overwrite=overwrite, default=default)
    check_apart({"--output": target}, given_files(settings))
    context.stage("open the input")
    with open_input(path, settings) as reader:
        refine_pictures(path, settings, context)
        with context.loading() as said:
            parts = build(settings, reader)
        rows, masks = _rows(parts, reader, count, context)
    if not rows:
        raise InputError(f"{path} has no frame to preview.")
    context.stage("draw the contact sheet")
    with folder_for(target):
        write_sheet(target, rows, replace=overwrite)
    return PreviewReport(target, len(rows), weights_used(parts), asdict(settings), said, masks)


def _rows(
    parts: Parts, reader: Reader, count: int, context: Context
) -> tuple[list[list[tuple[str, Tensor]]], list[dict[str, Any]]]:
    """Rows of the sheet, and numbers of the masks, for ``count`` frames that are spread evenly over the input."""
    expected = reader.frames_expected or sum(1 for _ in reader)
    wanted = set(range(expected))
    if expected > count:
        wanted = {round((k + 0.5) * expected / count - 0.5) for k in range(count)}
    rows, masks = [], []
    context.stage("frames")
    with memory_advice(f"{reader.width}x{reader.height}"):
        for number, clip, state in states(parts, reader):
            if number in wanted:
                row, numbers = _row(parts, number, clip.rgb, state)
                rows.append(row)
                masks.append(numbers)
                context.thumbnail(number, rows[-1][-1][1][None])
            context.frames(number + 1, max(wanted) + 1)
            if number >= max(wanted):
                break
    return rows, masks


def styles_sheet(
    input: str | Path,
    output: str | Path,
    names: Sequence[str],
    *,
    fast: bool = False,
    overwrite: bool = False,
    context: Context | None = None,
) -> None:
    """Draw a PNG of a picture, or of a video's first frame, with the whole frame painted in each style.

    The painting of each style, or the user's picture, stands next to what is painted after it.

    Raises InputError, OutputError, WeightsError, Cancelled.
    """
    context = context or Context()
    path, target = Path(input), Path(output)
    if target.suffix.lower() != ".png":
        raise OutputError(f"A sheet is a PNG; {target} has another suffix.")
    check_output(target, path, overwrite=overwrite)
    context.stage("open the input")
    with open_reader(path, max_size=640) as reader:
        frame: Clip | None = next(iter(reader), None)
    if frame is None:
        raise InputError(f"{path} has no frame.")
    plan = Plan((Entry((), tuple(StyleTerm(name) for name in names)),))
    with context.loading():
        styles = load_styles(names, fast=fast)
        painters = {name: style.painter for name, style in zip(names, styles, strict=True)}
        stylizer = PlanStylizer(plan, painters, choose_device("auto"))
    cells = []
    rgb = frame.rgb.to(stylizer.device)
    for name, style in zip(names, styles, strict=True):
        context.stage(f"paint in {name}")
        painted = stylizer.paint(rgb, name)[0].cpu()
        cells += [(f"painting: {style.name}", _painting(style, rgb)), (style.name, painted)]
    rows = [[(path.name, frame.rgb[0])], *(cells[k : k + 4] for k in range(0, len(cells), 4))]
    write_sheet(target, rows, width=320, replace=overwrite)
