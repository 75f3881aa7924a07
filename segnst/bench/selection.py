"""How well objects are cut out of photos by a box on each, compared with label maps made by hand.

The boxes are the bounding boxes of the connected parts of the label, as a careful user would draw them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from segnst import registry
from segnst.assembly import versions
from segnst.bench.boundary import boundary_f
from segnst.errors import InputError
from segnst.masks.classes import STREET
from segnst.masks.label_map import IGNORE
from segnst.masks.labeled import find_items, held_back, read_image
from segnst.pixels import from_bytes
from segnst.segmentation.base import Prompt, resolve

FORMAT = "segnst-selection-1"


def parts(mask: np.ndarray, least: float) -> list[np.ndarray]:
    """The connected parts, bool [H,W], of a bool mask that cover at least the share ``least`` of the picture."""
    count, numbers, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return [numbers == k for k in range(1, count) if facts[k, cv2.CC_STAT_AREA] >= least * mask.size]


def _iou(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float((ours & theirs).sum() / max(1, (ours | theirs).sum()))


def measure_selection(
    folder: Path,
    *,
    region: str = "person",
    count: int | None = 2,
    least: float = 0.03,
    every: int = 8,
    held_only: bool = False,
    selector: str = "grabcut",
    device: torch.device,
    offline: bool = False,
    progress: Callable[..., None] | None = None,
) -> dict[str, Any]:
    """Cut out every object of a folder's photos by its box, one at a time.

    folder     images/ with labels/ whose values are the bundled segmenter's classes (segnst.masks.labeled)
    region     the class that is cut out
    count      use only photos with exactly so many parts of it; None: all photos
    least      smallest share of the picture that counts as a part
    every      the training of the bundled segmenter held back every n-th photo by a hash of its name
    held_only  use only the photos that were held back

    Returns ``{"photos": {name: {"iou", "boundary_f", "objects": [iou], "held_back"}}, "all", "held_back"}``. ``iou`` is
    that of all objects of a photo together, ``objects`` that of each one; pixels of label 255 are not judged.
    Raises InputError where no photo has the parts that are asked for.
    """
    indices = [r.index for r in resolve(region, STREET)]
    chosen = []
    for item in find_items(folder, [r.name for r in STREET]):
        if held_only and not held_back(item.image, every):
            continue
        label = item.label() if item.label is not None else np.zeros((1, 1), np.uint8)
        found = parts(np.isin(label, indices), least)
        if found and (count is None or len(found) == count):
            chosen.append((item, label, found))
    if not chosen:
        many = "" if count is None else f" exactly {count} parts of"
        raise InputError(f"No label map in {folder} has{many} '{region}' of {least:.0%} of the picture or more.")
    cut = registry.get(registry.SELECTORS, selector, "selector")(selector, device=device, offline=offline)
    photos: dict[str, Any] = {}
    began = time.perf_counter()
    for done, (item, label, truths) in enumerate(chosen, 1):
        rgb = from_bytes(read_image(item.image))[None].to(device)
        judged = label != IGNORE
        masks = []
        for truth in truths:
            x, y, width, height = cv2.boundingRect(truth.astype(np.uint8))
            mask = cut(rgb, Prompt(box=(float(x), float(y), float(width), float(height))))
            masks.append((mask[0, 0] > 0.5).cpu().numpy() & judged)
        ours, theirs = np.any(masks, axis=0), np.any(truths, axis=0)
        photos[item.image.stem] = {
            "iou": round(_iou(ours, theirs), 4),
            "boundary_f": round(boundary_f(ours, theirs), 4),
            "objects": [round(_iou(m, t), 4) for m, t in zip(masks, truths, strict=True)],
            "held_back": held_back(item.image, every),
        }
        if progress is not None:
            progress(done, len(chosen))
    held = [p for p in photos.values() if p["held_back"]]
    return {
        "format": FORMAT,
        "versions": versions(),
        "region": region,
        "parts": count,
        "least": least,
        "selector": selector,
        "photos": photos,
        "all": _mean(list(photos.values())),
        "held_back": _mean(held) if held else None,
        "seconds_a_photo": round((time.perf_counter() - began) / len(photos), 3),
    }


def _mean(photos: list[dict[str, Any]]) -> dict[str, float]:
    return {
        "photos": len(photos),
        "iou": float(np.mean([p["iou"] for p in photos])),
        "boundary_f": float(np.mean([p["boundary_f"] for p in photos])),
        "objects": float(np.mean([iou for p in photos for iou in p["objects"]])),
    }


def table(report: dict[str, Any]) -> str:
    """The figures as a Markdown table, and the worst photos."""
    lines = [
        f"| photos, {report['region']} | IoU of all objects of a photo | IoU of each object | boundary F |",
        "|---|---|---|---|",
    ]
    names = {"all": "all", "held_back": "held back from the segmenter's training"}
    for key, name in names.items():
        row = report[key]
        if row:
            figures = f"{row['iou']:.3f} | {row['objects']:.3f} | {row['boundary_f']:.3f}"
            lines.append(f"| {name} ({row['photos']}) | {figures} |")
    worst = sorted(report["photos"].items(), key=lambda pair: float(pair[1]["iou"]))[:5]
    lines.append("\nThe worst: " + ", ".join(f"{name} {photo['iou']:.3f}" for name, photo in worst))
    return "\n".join(lines)
