"""Looking before doing: the cost of a run, and a contact sheet of some frames on every stage of the way."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from segnst.assembly import Parts, build, memory_advice, weights_used
from segnst.config import Settings
from segnst.errors import InputError, OutputError
from segnst.jobs.outputs import output_path
from segnst.pipeline import State
from segnst.plan import ORIGINAL, parse_plan, short_name
from segnst.sheet import card, layer_picture, write_sheet
from segnst.style.checkpoints import StyleWeights
from segnst.style.stylizer import PlanStylizer
from segnst.types import Clip
from segnst.video.paths import check_output
from segnst.video.read import Reader, open_reader


def _open(path: Path, settings: Settings) -> Reader:
    return open_reader(path, start=settings.start, end=settings.end, max_size=settings.max_size, fps=settings.fps)


def survey(path: Path, out: Path | None, settings: Settings, *, overwrite: bool = False) -> dict[str, Any]:
    """What a run would do and cost, with one frame styled to know; writes nothing.

    Raises what the run would raise before its first frame.
    """
    plan = parse_plan(settings.styles)
    output = output_path(path, out, plan.styles, overwrite=overwrite, make_folder=False)
    with _open(path, settings) as reader:
        parts = build(settings, reader)
        frame: Clip | None = next(iter(reader), None)
        if frame is None:
            raise InputError(f"{path} has no frame.")
        with memory_advice(f"{reader.width}x{reader.height}"):
            parts.pipeline.frame(frame.rgb, State())  # the first one also warms up
            began = time.perf_counter()
            parts.pipeline.frame(frame.rgb, State())
            cost = time.perf_counter() - began
        return {
            "input": str(path),
            "output": str(output),
            "size": f"{reader.width}x{reader.height}",
            "frames": reader.frames_expected,
            "plan": [str(e) for e in plan.entries],
            "segmenter": parts.segmenter.name if parts.segmenter else None,
            "weights": {name: w["path"] for name, w in weights_used(parts).items()},
            "device": str(parts.pipeline.device),
            "seconds_a_frame": round(cost, 3),
            "minutes": round(cost * (reader.frames_expected or 0) / 60, 1),
            "warnings": list(reader.warnings),
            "settings": asdict(settings),
        }


def _painting(style: StyleWeights, like: Tensor) -> Tensor:
    """The painting beside the checkpoint (as ``segnst train style`` leaves it), else a card with its title."""
    import cv2

    from segnst.pixels import from_bytes

    beside = style.path.with_suffix(".jpg")
    picture = cv2.imread(str(beside)) if beside.is_file() else None
    if picture is not None:
        return from_bytes(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    title = style.metadata.get("title") or style.path.name
    return card([style.name, *(part.strip() for part in title.split(","))], (like.shape[-2], like.shape[-1]))


def _row(parts: Parts, number: int, rgb: Tensor, state: State) -> list[tuple[str, Tensor]]:
    styled, _ = parts.pipeline.frame(rgb, state)
    row = [(f"frame {number}", rgb[0])]
    stylizer = parts.pipeline.stylizer
    for name, style in zip(parts.plan.styles, parts.styles, strict=True):
        row.append((f"painting: {style.name}", _painting(style, rgb)))
        if isinstance(stylizer, PlanStylizer):
            row.append((f"whole frame: {style.name}", stylizer.paint(rgb.to(parts.pipeline.device), name)[0].cpu()))
    if styled.masks is not None:
        named = [e.name for e in parts.plan.entries if e.name != "background"]
        row.append((f"mask: {', '.join(named)}", layer_picture(styled.masks.soft[0].cpu(), rgb[0])))
    row.append(("result", styled.rgb[0].cpu()))
    return row


def preview_sheet(
    path: Path, out: Path | None, settings: Settings, count: int, *, overwrite: bool = False
) -> dict[str, Any]:
    """A PNG of ``count`` frames spread over the input: source, painting, whole frame styled, mask, result.

    Each frame is styled for itself. Decodes the whole clip when its length is not known beforehand.
    Raises as a run would; OutputError when the PNG exists and ``overwrite`` is not set.
    """
    plan = parse_plan(settings.styles)
    if out is not None and out.suffix.lower() != ".png":
        raise OutputError(f"A preview is a PNG; {out} has another suffix.")
    names = "_".join(short_name(s) for s in plan.styles) or ORIGINAL
    default = Path("results") / f"{path.stem}_{names}_preview.png"
    output_path(path, out, plan.styles, overwrite=overwrite, make_folder=False, default=default)
    with _open(path, settings) as reader:
        parts = build(settings, reader)
        expected = reader.frames_expected or sum(1 for _ in reader)
        wanted = (
            {round((k + 0.5) * expected / count - 0.5) for k in range(count)}
            if expected > count
            else set(range(expected))
        )
        rows = []
        with memory_advice(f"{reader.width}x{reader.height}"):
            carry = None
            follows = hasattr(parts.segmenter, "after_cut")  # it must see every frame
            for number, clip in enumerate(reader):
                if number in wanted:
                    rows.append(_row(parts, number, clip.rgb, State(segmenter=carry)))
                if parts.segmenter is not None and follows:
                    _, carry = parts.segmenter(clip.rgb.to(parts.pipeline.device), carry)
                if number >= max(wanted):
                    break
    if not rows:
        raise InputError(f"{path} has no frame to preview.")
    output = output_path(path, out, plan.styles, overwrite=overwrite, default=default)  # only now is the folder made
    write_sheet(output, rows)
    return {"output": str(output), "frames": len(rows), "weights": weights_used(parts), "settings": asdict(settings)}


def styles_sheet(photo: Path, out: Path, names: list[str], *, fast: bool = False, overwrite: bool = False) -> None:
    """A PNG of a picture, or of a video's first frame, painted whole in every style.

    Raises InputError, OutputError, WeightsError.
    """
    if out.suffix.lower() != ".png":
        raise OutputError(f"A sheet is a PNG; {out} has another suffix.")
    check_output(out, photo, overwrite=overwrite)
    with open_reader(photo, max_size=640) as reader:
        frame: Clip | None = next(iter(reader), None)
    if frame is None:
        raise InputError(f"{photo} has no frame.")
    pipeline = build(Settings(styles=(f"{'+'.join(names)}",), fast=fast)).pipeline
    cells = [(photo.name, frame.rgb[0])]
    rgb = frame.rgb.to(pipeline.device)
    cells += [(name, pipeline.stylizer.paint(rgb, name)[0].cpu()) for name in names]  # type: ignore[attr-defined]
    write_sheet(out, [cells[k : k + 4] for k in range(0, len(cells), 4)], width=320)
