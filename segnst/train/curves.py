"""Training curves, drawn with OpenCV, so that no plotting library is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

COLORS = ((40, 40, 200), (180, 90, 20), (40, 140, 40), (160, 40, 160), (20, 140, 200), (100, 100, 100), (150, 150, 20))
PANEL = (220, 560)  # height, width
MARGIN = (28, 16, 24, 70)  # top, right, bottom, left


def _panel(name: str, points: Sequence[tuple[float, float]], color: tuple[int, int, int]) -> np.ndarray:
    height, width = PANEL
    top, right, bottom, left = MARGIN
    image = np.full((height, width, 3), 255, np.uint8)
    cv2.putText(
        image,
        f"{name}  last {points[-1][1]:.4g}",
        (left, 18),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.45,
        (0, 0, 0),
        1,
        cv2.LINE_AA,
    )
    x, y = np.array(points, float).T
    low, high = float(np.min(y)), float(np.max(y))
    span_x, span_y = max(x.max() - x.min(), 1e-9), max(high - low, 1e-9)
    at = np.stack(
        [left + (x - x.min()) / span_x * (width - left - right), top + (high - y) / span_y * (height - top - bottom)], 1
    )
    for value, row in ((high, top), ((low + high) / 2, (top + height - bottom) // 2), (low, height - bottom)):
        cv2.line(image, (left, row), (width - right, row), (225, 225, 225), 1)
        cv2.putText(image, f"{value:.3g}", (6, row + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (90, 90, 90), 1, cv2.LINE_AA)
    cv2.putText(
        image, f"{x.min():.0f}", (left, height - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (90, 90, 90), 1, cv2.LINE_AA
    )
    cv2.putText(
        image,
        f"{x.max():.0f}",
        (width - right - 30, height - 8),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.38,
        (90, 90, 90),
        1,
        cv2.LINE_AA,
    )
    cv2.polylines(image, [np.round(at).astype(np.int32)], False, color, 1, cv2.LINE_AA)
    return image


def draw_curves(history: Mapping[str, Sequence[tuple[float, float]]], path: Path, columns: int = 2) -> None:
    """Write a PNG with one panel per curve.

    history  {name: (iteration, value) pairs}; values that are not finite are left out
    """
    panels = []
    for k, (name, points) in enumerate(history.items()):
        finite = [(i, v) for i, v in points if np.isfinite(v)]
        if finite:
            panels.append(_panel(name, finite, COLORS[k % len(COLORS)]))
    if not panels:
        return
    while len(panels) % columns:
        panels.append(np.full_like(panels[0], 255))
    rows = [np.hstack(panels[i : i + columns]) for i in range(0, len(panels), columns)]
    cv2.imwrite(str(path), np.vstack(rows))
