"""``segnst inspect --edges``: all ways to draw the border between layers, side by side and enlarged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.assembly import build, memory_advice
from segnst.config import Settings
from segnst.errors import InputError, UsageError
from segnst.filters import box_mean
from segnst.jobs.events import Context, JobReport
from segnst.jobs.outputs import folder_for, open_input
from segnst.pipeline import State, Styled
from segnst.pixels import from_bytes, to_bytes
from segnst.sheet import layer_picture, write_sheet
from segnst.stabilize.masks import Edge
from segnst.video.pictures import check_png

Row = list[tuple[str, Tensor]]

CHOICES = ("matte", "guided", "feather:4", "feather:16", "hard", "threshold:0.5", "threshold:0.8")
ZOOM = 4
FRAMES = 6  # the frame of a video that is shown, since masks are smoothed over the frames before it


def _window(soft: Tensor, side: int) -> tuple[int, int]:
    """Top left corner of the square that holds most of the border between layers; soft [L,H,W]."""
    label = soft.argmax(0)
    border = torch.zeros(label.shape)
    border[1:] += (label[1:] != label[:-1]).float()
    border[:, 1:] += (label[:, 1:] != label[:, :-1]).float()
    if not border.any():
        raise InputError("The picture shows no border between regions: one region covers all of it.")
    half = side // 2
    # only centers whose square lies inside the picture
    dense = box_mean(border.clamp(max=1)[None, None], side | 1)[0, 0]
    dense = dense[half : label.shape[0] - half, half : label.shape[1] - half]
    at = int(dense.argmax())
    return at // dense.shape[1], at % dense.shape[1]


def _last(path: Path, settings: Settings, context: Context) -> tuple[Tensor, Styled]:
    """The picture, or frame ``FRAMES`` of a video (the last one of a shorter video), and its styling."""
    with context.loading(f"load the weights for --edge {settings.edge}"):
        parts = build(settings)
    state, last = State(), None
    with (
        open_input(path, settings) as reader,
        memory_advice(f"{reader.width}x{reader.height}"),
    ):
        context.stage(f"--edge {settings.edge}")
        for number, clip in enumerate(reader):
            styled, state = parts.pipeline.frame(clip.rgb, state)
            last = (clip.rgb, styled)
            context.frames(number + 1, min(FRAMES, reader.frames_expected or FRAMES))
            if number + 1 == FRAMES:
                break
    if last is None:
        raise InputError(f"{path} has no frame.")
    return last


@dataclass
class EdgesReport(JobReport):
    """The kinds of border that were drawn, and ``window``, the enlarged square: x, y, width and height in pixels."""

    output: Path
    edges: list[str]
    window: list[int]
    warnings: list[str] = field(default_factory=list)


def edges_file(
    input: str | Path,
    output: str | Path | None,
    settings: Settings,
    *,
    overwrite: bool = False,
    context: Context | None = None,
) -> EdgesReport:
    """Write a sheet (PNG): the picture with the enlarged square marked, then each choice's result and masks at 400 %.

    output  default ``results/<stem>_edges.png``
    Raises what a styling run raises; InputError when the picture shows no border; UsageError for a whole-frame plan.
    """
    context = context or Context()
    path = Path(input)
    out = Path("results") / f"{path.stem}_edges.png" if output is None else Path(output)
    if output is not None or out.parent.exists():
        check_png(out, overwrite=overwrite)
    results: Row = []
    masks: Row = []
    corner, side, whole = (0, 0), 0, None
    for choice in CHOICES:
        Edge.parse(choice)
        rgb, styled = _last(path, replace(settings, edge=choice), context)
        if styled.masks is None:
            raise UsageError("A plan that styles the whole frame has no edges; name a region: -s car=starry_night.")
        soft = styled.masks.soft[0].cpu()
        if whole is None:
            side = max(32, min(96, min(rgb.shape[-2:]) // 3))
            side = min(side, *rgb.shape[-2:])
            corner = _window(soft, side)
            whole = _framed(styled.rgb[0].cpu(), corner, side)
        for row, picture in ((results, styled.rgb[0].cpu()), (masks, layer_picture(soft, rgb[0]))):
            top, left = corner
            crop = picture[:, top : top + side, left : left + side]
            row.append((choice, F.interpolate(crop[None], scale_factor=ZOOM, mode="nearest")[0]))
    assert whole is not None
    height, width = whole.shape[-2:]
    overview = ("where", F.interpolate(whole[None], (round(height * ZOOM * side / width), ZOOM * side), mode="area")[0])
    context.stage("draw the strip")
    with folder_for(out):
        write_sheet(out, [[overview, *results], [("masks", torch.ones_like(overview[1])), *masks]], width=ZOOM * side)
    return EdgesReport(out, list(CHOICES), [corner[1], corner[0], side, side], context.warned)


def _framed(rgb: Tensor, corner: tuple[int, int], side: int) -> Tensor:
    picture = np.ascontiguousarray(to_bytes(rgb))
    top, left = corner
    cv2.rectangle(picture, (left, top), (left + side, top + side), (255, 40, 40), 3)
    return from_bytes(picture)
