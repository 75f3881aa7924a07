"""Contact sheets: pictures in rows and columns with a line of text above each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import OutputError
from segnst.files import write_bytes
from segnst.pixels import from_bytes, to_bytes

LAYER_COLORS = (
    (230, 75, 60),
    (60, 120, 230),
    (240, 190, 40),
    (60, 180, 90),
    (160, 80, 200),
    (40, 190, 200),
    (150, 150, 150),
)
TEXT = 22  # px above each picture


def layer_picture(soft: Tensor, rgb: Tensor | None = None) -> Tensor:
    """Soft masks [L,H,W] as colors [3,H,W] over the darkened frame, or alone; the last layer is the background and gets
    no color. A single layer alone is white."""
    count, size = len(soft) - 1, soft.shape[-2:]
    colors = torch.tensor([LAYER_COLORS[k % len(LAYER_COLORS)] for k in range(count)], dtype=torch.float32) / 255
    if rgb is None and count == 1:
        colors = torch.ones_like(colors)
    paint = torch.einsum("lhw,lc->chw", soft[:-1].cpu(), colors) if count else torch.zeros(3, *size)
    if rgb is None:
        return paint
    return 0.35 * rgb.cpu().mean(0, keepdim=True).expand(3, -1, -1) + 0.65 * paint


def card(lines: Sequence[str], size: tuple[int, int]) -> Tensor:
    """A white picture [3,H,W] with a few lines of text, for places where there is no painting to show."""
    height, width = size
    picture = np.full((height, width, 3), 245, np.uint8)
    for k, line in enumerate(lines):
        cv2.putText(
            picture,
            line[: max(8, width // 9)],
            (8, 30 + 24 * k),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.5,
            (40, 40, 40),
            1,
            cv2.LINE_AA,
        )
    return from_bytes(picture)


def fitted(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture [3,H,W] of any shape as large as it fits into ``size`` (height, width), with a white margin.

    Small pictures are enlarged to twice their size at most, because more would only be blurred.
    """
    height, width = picture.shape[-2:]
    scale = min(size[0] / height, size[1] / width, 2.0)
    inner = (min(size[0], max(1, round(height * scale))), min(size[1], max(1, round(width * scale))))
    scaled = F.interpolate(picture[None].float().cpu(), inner, mode="bilinear", antialias=True)[0].clamp(0, 1)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    return F.pad(scaled, (left, size[1] - inner[1] - left, top, size[0] - inner[0] - top), value=1.0)


def _cell(picture: Tensor, title: str, width: int) -> np.ndarray:
    pixels = to_bytes(picture)
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    shrink = width < pixels.shape[1]
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    head = np.full((TEXT, width, 3), 255, np.uint8)
    cv2.putText(head, title[: width // 8], (3, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack((head, pixels))


def write_sheet(
    path: Path, rows: Sequence[Sequence[tuple[str, Tensor]]], width: int = 320, *, replace: bool = True
) -> Path:
    """Write rows of (title, picture [3,H,W]) as one PNG; each picture is scaled to ``width`` px.

    replace  what is there by now
    Raises OutputError when the file cannot be written, ResourceError when the disk is full.
    """
    drawn = []
    for row in rows:
        cells = [_cell(picture, title, width) for title, picture in row]
        tallest = max(c.shape[0] for c in cells)
        cells = [np.pad(c, ((0, tallest - c.shape[0] + 4), (0, 4), (0, 0)), constant_values=255) for c in cells]
        drawn.append(np.hstack(cells))
    widest = max(r.shape[1] for r in drawn)
    drawn = [np.pad(r, ((0, 0), (0, widest - r.shape[1]), (0, 0)), constant_values=255) for r in drawn]
    ok, data = cv2.imencode(".png", cv2.cvtColor(np.vstack(drawn), cv2.COLOR_RGB2BGR))
    if not ok:
        raise OutputError(f"The contact sheet {path} cannot be drawn.")
    write_bytes(path, data.tobytes(), replace=replace)
    return path
