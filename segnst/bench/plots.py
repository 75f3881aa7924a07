"""Plots of the benchmarks of stability and of content against style, drawn with OpenCV to need no plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segnst.bench.meters import SOURCE
from segnst.bench.metrics import BANDS
from segnst.files import write_bytes

COLORS = {"source": (150, 150, 150), "per-frame": (40, 40, 200), "segnst": (30, 130, 30)}
OTHERS = ((180, 90, 20), (160, 40, 160), (20, 140, 200), (150, 150, 20), (90, 90, 220))
PANEL = (260, 900)  # height and width of the plot of one clip's errors
FRONT = (560, 760)
AIM = (0.10, (0.95, 1.10))  # the shaded area: the largest excess, and the range of sharpness kept
FONT = cv2.FONT_HERSHEY_SIMPLEX


def _colors(names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    rest = [n for n in names if n not in COLORS]
    return {n: COLORS[n] for n in names if n in COLORS} | {n: OTHERS[k % len(OTHERS)] for k, n in enumerate(rest)}


def _text(
    image: np.ndarray, text: str, at: tuple[int, int], color: tuple[int, int, int] = (60, 60, 60), size: float = 0.42
) -> None:
    cv2.putText(image, text, at, FONT, size, color, 1, cv2.LINE_AA)


def _write(image: np.ndarray, path: Path) -> None:
    write_bytes(path, cv2.imencode(".png", image)[1].tobytes())


def _errors_of(name: str, series: Mapping[str, Sequence[float | None]]) -> np.ndarray:
    """E_warp of every frame of one clip on a logarithmic axis: a line for each method, with gaps at cuts."""
    height, width = PANEL
    top, right, bottom, left = 34, 150, 26, 66
    image = np.full((height, width, 3), 255, np.uint8)
    known = [v for values in series.values() for v in values if v is not None and v > 0]
    _text(image, f"{name}: E_warp frame by frame (logarithmic)", (left, 18), (0, 0, 0), 0.48)
    if not known:
        return image
    low, high = np.floor(np.log10(min(known)) * 4) / 4, np.ceil(np.log10(max(known)) * 4 + 1e-6) / 4
    count = max(len(v) for v in series.values())

    def place(k: int, value: float) -> tuple[int, int]:
        x = left + k / max(count - 1, 1) * (width - left - right)
        y = top + (high - np.log10(max(value, 10**low))) / max(high - low, 1e-9) * (height - top - bottom)
        return round(x), round(y)

    for level in np.linspace(low, high, 4):
        row = place(0, 10**level)[1]
        cv2.line(image, (left, row), (width - right, row), (228, 228, 228), 1)
        _text(image, f"{10**level:.1e}", (4, row + 4), size=0.36)
    _text(image, "frame 0", (left, height - 8), size=0.36)
    _text(image, str(count - 1), (width - right - 16, height - 8), size=0.36)
    for row, (method, color) in enumerate(_colors(list(series)).items()):
        run: list[tuple[int, int]] = []
        for k, value in [*enumerate(series[method]), (count, None)]:
            if value is not None:
                run.append(place(k, value))
            elif run:
                cv2.polylines(image, [np.array(run, np.int32)], False, color, 1, cv2.LINE_AA)
                run = []
        cv2.line(image, (width - right + 10, top + 18 * row), (width - right + 28, top + 18 * row), color, 2)
        _text(image, method, (width - right + 34, top + 4 + 18 * row), color)
    return image


def draw_errors(clips: Mapping[str, Mapping[str, Sequence[float | None]]], path: Path) -> None:
    """Error over time, with one panel for each clip: {clip: {method: E_warp of each frame, None where it has none}}.

    Raises OutputError when the PNG cannot be written.
    """
    _write(np.vstack([_errors_of(name, series) for name, series in clips.items()]), path)


def draw_lines(series: Mapping[str, Sequence[tuple[float, float]]], path: Path, *, title: str) -> None:
    """Lines through points (x, y) above 0 on two logarithmic axes: {name: points in the order of x}.

    Raises OutputError when the PNG cannot be written.
    """
    height, width = FRONT
    top, right, bottom, left = 40, 210, 40, 70
    image = np.full((height, width, 3), 255, np.uint8)
    logs = {name: np.log10(np.array(points, float)) for name, points in series.items()}
    every = np.concatenate(list(logs.values()))
    low, high = np.floor(every.min(0) * 2) / 2, np.ceil(every.max(0) * 2 + 1e-6) / 2

    def place(point: np.ndarray) -> tuple[int, int]:
        x, y = (point - low) / (high - low)
        return round(left + x * (width - left - right)), round(top + (1 - y) * (height - top - bottom))

    _text(image, title, (left, 22), (0, 0, 0), 0.46)
    for axis in (0, 1):
        for level in np.arange(low[axis], high[axis] + 1e-6, 0.5):
            ends = [np.where(np.arange(2) == axis, level, end) for end in (low, high)]
            cv2.line(image, place(ends[0]), place(ends[1]), (228, 228, 228), 1)
            x, y = place(ends[0])
            _text(image, f"{10**level:.3g}", (x - 10, height - 16) if axis == 0 else (10, y + 4), size=0.38)
    for row, (name, color) in enumerate(_colors(list(series)).items()):
        points = [place(p) for p in logs[name]]
        cv2.polylines(image, [np.array(points, np.int32)], False, color, 2, cv2.LINE_AA)
        for point in points:
            cv2.circle(image, point, 4, color, -1, cv2.LINE_AA)
        _text(image, name, (width - right + 16, top + 20 + 18 * row), color)
    _write(image, path)


def front_points(mean: Mapping[str, Mapping[str, float | None]]) -> dict[str, tuple[float, float]]:
    """{method: (mean excess, mean over the three bands of sharpness kept)}; the source is left out."""
    points = {}
    for name, figures in mean.items():
        bands = [v for b in BANDS if (v := figures.get(f"sharp[{b}]")) is not None]
        error = figures.get("excess")
        if name != SOURCE and error is not None and len(bands) == len(BANDS):
            points[name] = (error, sum(bands) / len(bands))
    return points


def draw_front(mean: Mapping[str, Mapping[str, float | None]], path: Path) -> None:
    """Stability against sharpness: a labeled point for every method, the aim shaded. Writes nothing without points.

    mean  {method: figures} over all clips. Raises OutputError when the PNG cannot be written.
    """
    points = front_points(mean)
    if not points:
        return
    height, width = FRONT
    top, right, bottom, left = 40, 30, 56, 70
    image = np.full((height, width, 3), 255, np.uint8)
    xs, ys = np.array(list(points.values())).T
    x0, x1 = min(-0.05, xs.min() - 0.05), max(1.05, xs.max() + 0.05)
    y0, y1 = min(0.7, ys.min() - 0.05), max(1.15, ys.max() + 0.05)

    def place(x: float, y: float) -> tuple[int, int]:
        return (
            round(left + (x - x0) / (x1 - x0) * (width - left - right)),
            round(top + (y1 - y) / (y1 - y0) * (height - top - bottom)),
        )

    most, (least, highest) = AIM
    cv2.rectangle(image, place(x0, min(highest, y1)), place(most, max(least, y0)), (225, 245, 225), -1)
    for x in np.arange(np.ceil(x0 * 5) / 5, x1, 0.2):
        cv2.line(image, place(x, y0), place(x, y1), (228, 228, 228), 1)
        _text(image, f"{round(x, 1) + 0.0:.1f}", (place(x, y0)[0] - 10, height - bottom + 18), size=0.38)
    for y in np.arange(np.ceil(y0 * 10) / 10, y1, 0.1):
        cv2.line(image, place(x0, y), place(x1, y), (228, 228, 228), 1)
        _text(image, f"{y:.1f}", (left - 34, place(x0, y)[1] + 4), size=0.38)
    _text(image, "steadier <-  mean excess: 0 as the source, 1 as per-frame styling", (left, height - 14))
    _text(image, "sharpness kept, mean of three bands (1: as per-frame styling; shaded: the aim)", (left, 22))
    taken: list[tuple[int, int]] = []
    for name, color in _colors(list(points)).items():
        x, y = place(*points[name])
        cv2.circle(image, (x, y), 5, color, -1, cv2.LINE_AA)
        label = (x + 9 if x < width - 170 else x - 120, y + 4)
        while any(abs(label[0] - a) < 110 and abs(label[1] - b) < 15 for a, b in taken):
            label = (label[0], label[1] + 15)
        taken.append(label)
        _text(image, name, label, color, 0.46)
    _write(image, path)


def draw_content_style(
    means: Mapping[str, Mapping[str, float]],
    rows: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    weight: float,
    title: str,
) -> None:
    """Content against style: a labeled point for the mean of every method, a small one for each of its paintings.

    means   {method: content and style}
    rows    method, content and style of one painting each
    weight  of style in the total content + weight · style; lines of equal total are drawn

    Raises OutputError when the PNG cannot be written.
    """
    height, width = FRONT
    top, right, bottom, left = 40, 30, 56, 70
    image = np.full((height, width, 3), 255, np.uint8)
    points = [*means.values(), *(row for row in rows if row["method"] in means)]
    x1, y1 = (1.08 * max(max(p[key] for p in points), 1e-6) for key in ("content", "style"))

    def place(x: float, y: float) -> tuple[int, int]:
        across, up = x / x1 * (width - left - right), y / y1 * (height - top - bottom)
        return round(left + across), round(height - bottom - up)

    def ticks(most: float) -> np.ndarray:
        step = 10 ** np.floor(np.log10(most / 2))
        step *= 2 if most / step > 10 else 1
        return np.arange(0, most, step)

    for x in ticks(x1):
        cv2.line(image, place(x, 0), place(x, y1), (236, 236, 236), 1)
        _text(image, f"{x:.3g}", (place(x, 0)[0] - 10, height - bottom + 18), size=0.38)
    for y in ticks(y1):
        cv2.line(image, place(0, y), place(x1, y), (236, 236, 236), 1)
        _text(image, f"{y:.3g}", (left - 44, place(0, y)[1] + 4), size=0.38)
    totals = ticks(x1 + weight * y1)[1:]
    for total in totals:
        (xa, ya), (xb, yb) = (
            (min(total, x1), max(0, total - x1) / weight),
            (max(0, total - weight * y1), total / weight),
        )
        cv2.line(image, place(xa, ya), place(xb, min(yb, y1)), (205, 205, 205), 1, cv2.LINE_AA)
        _text(image, f"{total:.3g}", (place(xa, ya)[0] - 26, place(xa, ya)[1] - 4), (150, 150, 150), 0.36)
    _text(image, f"content (slanted lines: content + {weight:g} style, lower is better)", (left, height - 14))
    _text(image, f"style; {title}", (left, 22))
    colors = _colors(list(means))
    for row in rows:
        if row["method"] in colors:
            cv2.circle(image, place(row["content"], row["style"]), 2, colors[row["method"]], -1, cv2.LINE_AA)
    taken: list[tuple[int, int]] = []
    for name, color in colors.items():
        x, y = place(means[name]["content"], means[name]["style"])
        cv2.circle(image, (x, y), 6, color, -1, cv2.LINE_AA)
        wide = cv2.getTextSize(name, FONT, 0.46, 1)[0][0]
        label = (x + 10 if x + 10 + wide < width else x - 10 - wide, y + 4)
        while any(abs(label[0] - a) < 110 and abs(label[1] - b) < 15 for a, b in taken):
            label = (label[0], label[1] + 15)
        taken.append(label)
        _text(image, name, label, color, 0.46)
    _write(image, path)
