"""Compares alpha mattes with the truth: SAD, MSE, gradient and connectivity (Rhemann 2009), dtSSD (Erofeev 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segnst.errors import InputError
from segnst.untrusted import is_folder, short
from segnst.video import images

STEP = 0.1  # between the levels at which connectivity is looked at
APART = 0.15  # alpha that a pixel may lie above the level at which it is connected
BLUR = 1.4  # px, of the Gaussian whose derivative gives the gradient
METRICS = ("sad", "mse", "gradient", "connectivity", "dtssd")


def _gradient(alpha: np.ndarray) -> np.ndarray:
    reach = int(np.ceil(3 * BLUR))
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    bell = np.exp(-x * x / (2 * BLUR * BLUR)) / (BLUR * np.sqrt(2 * np.pi))
    slope = -x * bell / (BLUR * BLUR)
    kernel = np.outer(bell, slope)
    kernel /= np.sqrt((kernel * kernel).sum())
    across, down = (cv2.filter2D(alpha, cv2.CV_64F, k, borderType=cv2.BORDER_REPLICATE) for k in (kernel, kernel.T))
    return np.asarray(np.hypot(across, down))


def _largest(mask: np.ndarray) -> np.ndarray:
    count, parts, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return np.zeros_like(mask)
    return np.asarray(parts == 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax()))


def _disconnected(alpha: np.ndarray, level: np.ndarray) -> np.ndarray:
    apart = alpha - level
    return np.asarray(1 - apart * (apart >= APART))


def _connectivity(ours: np.ndarray, truth: np.ndarray) -> float:
    level = np.full(ours.shape, -1.0)
    before = np.ones(ours.shape, bool)
    for high in np.arange(STEP, 1 + STEP / 2, STEP):
        joined = _largest((ours >= high - 1e-6) & (truth >= high - 1e-6))
        lost = (level < 0) & ~joined & before
        level[lost] = high - STEP
        before = joined
    level[level < 0] = 1
    return float(np.abs(_disconnected(ours, level) - _disconnected(truth, level)).sum())


def compare(ours: np.ndarray, truth: np.ndarray, last: tuple[np.ndarray, np.ndarray] | None = None) -> dict[str, float]:
    """Errors of a matte: float [H,W] in [0,1], twice, and both of the frame before.

    sad, gradient and connectivity are sums over the frame, divided by 1000; mse is a mean, times 1000; dtssd is the
    root of the mean squared difference of the changes since the last frame, times 100, and missing in a first frame.
    """
    ours, truth = ours.astype(np.float64), truth.astype(np.float64)
    off = ours - truth
    found = {
        "sad": float(np.abs(off).sum()) / 1000,
        "mse": float((off * off).mean()) * 1000,
        "gradient": float(((_gradient(ours) - _gradient(truth)) ** 2).sum()) / 1000,
        "connectivity": _connectivity(ours, truth) / 1000,
    }
    if last is not None:
        change = off - (last[0].astype(np.float64) - last[1])
        found["dtssd"] = float(np.sqrt((change * change).mean())) * 100
    return found


def mean(frames: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over the frames that have it."""
    found = {key: [f[key] for f in frames if key in f] for key in METRICS}
    return {key: float(np.mean(values)) for key, values in found.items() if values}


def read_matte(path: Path) -> np.ndarray:
    """Alpha of a picture, float32 [H,W] in [0,1]: of one with transparency, else its brightness. Raises InputError."""
    planes = images.load(path).planes()
    return np.ascontiguousarray(planes[3] if len(planes) == 4 else planes[:3].max(0))


def evaluate_mattes(ours: Path, truth: Path) -> dict[str, Any]:
    """Compare the pictures of two folders that have the same names, as frames of one clip in the order of their names.

    Returns ``{"frames", "missing", "mean": {metric: value}, "per_frame": [{metric: value}]}``. Raises InputError where
    a folder does not exist, no name fits, or sizes differ.
    """
    for folder in (ours, truth):
        if not is_folder(folder):
            raise InputError(f"There is no folder {short(str(folder))}.")
    files = {p.stem: p for p in images.frame_files(ours)}
    truths = images.frame_files(truth)
    pairs = [(files[p.stem], p) for p in truths if p.stem in files]
    if not pairs:
        raise InputError(f"No picture in {ours} has the name of one in {truth}: there is nothing to compare.")
    found = []
    last: tuple[np.ndarray, np.ndarray] | None = None
    for path, true_path in pairs:
        now = read_matte(path), read_matte(true_path)
        if now[0].shape != now[1].shape:
            sizes = " and ".join(f"{x.shape[1]}x{x.shape[0]}" for x in now)
            raise InputError(f"{path} and the truth {true_path} have different sizes: {sizes}.")
        found.append(compare(*now, last))
        last = now
    return {"frames": len(pairs), "missing": len(truths) - len(pairs), "mean": mean(found), "per_frame": found}


def table(rows: dict[str, dict[str, float]], extra: Sequence[str] = ()) -> str:
    """Rows of figures as a Markdown table; ``extra`` names columns after the metrics."""
    columns = [c for c in (*METRICS, *extra) if any(c in r for r in rows.values())]
    lines = ["| | " + " | ".join(c.replace("_", " ") for c in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[c]:.3f}" if c in row else "" for c in columns) + " |")
    return "\n".join(lines)
