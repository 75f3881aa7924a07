"""Label maps against the truth: intersection over union of each class.

Truth values: a class index; 254 = known not to be a class that these labels speak about, otherwise unknown;
255 = not judged. A prediction where the truth is 254 counts as wrong for the classes that the truth's own
labels contain ("not a car": a car there is a mistake) and is not judged for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segnst.errors import InputError
from segnst.segmentation.classes import STREET
from segnst.segmentation.indexed_png import read_png

PARTIAL, IGNORE = 254, 255
_NAMES = tuple(region.name for region in STREET)


def evaluate_masks(pred_dir: Path, truth_dir: Path, classes: Sequence[str] = _NAMES) -> dict[str, Any]:
    """Compare indexed PNGs of the same name (or ``NAME_mask.png`` in ``truth_dir``).

    Pixels are summed over all images before dividing, as VOC and Cityscapes do. A class that occurs in no
    truth has IoU None and no part in the mean: where it was predicted, the class that is there pays for it.
    Truth of 0 and 255 alone (a DAVIS mask) is read as "the one object", see ``object_iou``.

    Returns ``{"images", "missing", "classes": {name: {"iou", "precision", "recall", "pixels"}}, "mean_iou",
    "accuracy"}``. Raises InputError: no pairs, differing sizes, values that are no class.
    """
    pairs, missing = _pairs(Path(pred_dir), Path(truth_dir))
    count = len(classes)
    partial = _partial_classes([truth for _, truth in pairs], count)
    sums = np.zeros((count, 4), np.int64)  # both, predicted, true, judged truth
    right = judged_pixels = 0
    for prediction_path, truth_path in pairs:
        prediction, truth = read_png(prediction_path), read_png(truth_path)
        if prediction.shape != truth.shape:
            raise InputError(
                f"{prediction_path} is {prediction.shape[1]}x{prediction.shape[0]}, the truth {truth_path.name} is "
                f"{truth.shape[1]}x{truth.shape[0]}."
            )
        _check_values(prediction, prediction_path, count, ())
        _check_values(truth, truth_path, count, (PARTIAL, IGNORE))
        plain = truth < PARTIAL
        right += int((prediction == truth)[plain].sum())
        judged_pixels += int(plain.sum())
        for k in range(count):
            judged = plain | (truth == PARTIAL) if k in partial else plain
            ours, theirs = (prediction == k) & judged, truth == k
            sums[k] += (ours & theirs).sum(), ours.sum(), theirs.sum(), judged.sum()
    figures: dict[str, Any] = {}
    for name, (both, ours, theirs, _) in zip(classes, sums.tolist(), strict=True):
        figures[name] = {
            "iou": both / (ours + theirs - both) if theirs else None,
            "precision": both / ours if ours and theirs else None,
            "recall": both / theirs if theirs else None,
            "pixels": theirs,
        }
    known = [f["iou"] for f in figures.values() if f["iou"] is not None]
    return {
        "images": len(pairs),
        "missing": missing,
        "classes": figures,
        "mean_iou": float(np.mean(known)) if known else None,
        "accuracy": right / judged_pixels if judged_pixels else None,
    }


def _pairs(pred_dir: Path, truth_dir: Path) -> tuple[list[tuple[Path, Path]], int]:
    for folder in (pred_dir, truth_dir):
        if not folder.is_dir():
            raise InputError(f"The folder {folder} does not exist.")
    truths = {p.stem.removesuffix("_mask"): p for p in sorted(truth_dir.glob("*.png"))}
    pairs = [(pred_dir / f"{stem}.png", truth) for stem, truth in truths.items()]
    found = [(p, t) for p, t in pairs if p.is_file()]
    if not found:
        raise InputError(f"No PNG in {pred_dir} has the name of one in {truth_dir}: there is nothing to compare.")
    return found, len(pairs) - len(found)


def _partial_classes(truths: Sequence[Path], count: int) -> frozenset[int]:
    seen: set[int] = set()
    for path in truths:
        seen |= {int(v) for v in np.unique(read_png(path))}
    return frozenset(v for v in seen if v < count) if PARTIAL in seen else frozenset()


def _check_values(labels: np.ndarray, path: Path, count: int, special: tuple[int, ...]) -> None:
    wrong = sorted(int(v) for v in np.unique(labels) if v >= count and v not in special)
    if wrong:
        raise InputError(f"{path} holds the value {wrong[0]}, but there are {count} classes. Name them with --classes.")


def object_iou(pred_dir: Path, truth_dir: Path, index: int) -> dict[str, Any]:
    """IoU of class ``index`` with masks of one object (0 = not it, anything else = it), as DAVIS stores them.

    Returns ``{"frames", "iou" over all pixels, "j_mean" the mean over frames}``.
    """
    pairs, _ = _pairs(Path(pred_dir), Path(truth_dir))
    both = either = 0
    per_frame = []
    for prediction_path, truth_path in pairs:
        ours, theirs = read_png(prediction_path) == index, read_png(truth_path) > 0
        inside, union = int((ours & theirs).sum()), int((ours | theirs).sum())
        both, either = both + inside, either + union
        per_frame.append(inside / union if union else 1.0)
    return {"frames": len(pairs), "iou": both / either if either else 1.0, "j_mean": float(np.mean(per_frame))}


def table(result: dict[str, Any]) -> str:
    """The figures as a Markdown table."""

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    lines = ["| class | IoU | precision | recall |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {number(f['iou'])} | {number(f['precision'])} | {number(f['recall'])} |"
        for name, f in result["classes"].items()
        if f["pixels"]
    ]
    lines.append(f"| **mean** | **{number(result['mean_iou'])}** | | |")
    lines += ["", f"{result['images']} images, pixel accuracy {number(result['accuracy'])}"]
    if result["missing"]:
        lines[-1] += f"; {result['missing']} truths have no prediction"
    return "\n".join(lines) + "."
