"""Compares label maps with the truth: intersection over union, precision, recall and boundary F of each class.

A value of the truth is the index of a class, or 254: the class is unknown but none of those that these labels mark, or
255: not judged. Where the truth is 254, predicting a class that occurs elsewhere in the truth counts as wrong (in a
truth of cars, 254 means "not a car"); for all other classes these pixels are not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segnst.bench.boundary import boundary_f
from segnst.errors import InputError
from segnst.masks.classes import STREET
from segnst.masks.indexed_png import read_png
from segnst.masks.label_map import IGNORE, PARTIAL, one_object
from segnst.segmentation.files import CLASSES_FILE, read_classes

_NAMES = tuple(region.name for region in STREET)
_ONE = ("background", "object")  # the values 0 and 1 in masks of one object


def evaluate_masks(pred_dir: Path, truth_dir: Path, classes: Sequence[str] | None = None) -> dict[str, Any]:
    """Compare indexed PNGs of the same name (or ``NAME_mask.png`` in ``truth_dir``).

    Pixels are summed over all images before dividing, as VOC and Cityscapes do. A class that occurs in no truth has
    IoU None and is left out of the mean; where it was predicted, the IoU of the class that is really there falls.
    ``classes`` default to those of ``classes.json`` beside the predictions, or else to the bundled segmenter's nine.
    Where all truths and predictions are masks of one object (0 and 255, as DAVIS has them, or 0 and 1), the classes are
    background and object.

    Returns ``{"images", "missing", "classes": {name: {"iou", "precision", "recall", "pixels", "boundary_f"}},
    "mean_iou", "mean_boundary_f", "accuracy", "frames": {name of the file: {class: {"iou", "boundary_f"}}}}``. The
    boundary F of a class is the mean over the images whose truth has it; pixels that are not judged are left out.
    Raises InputError where there are no pairs, where sizes differ, and for values that are no class.
    """
    pairs, missing = _pairs(Path(pred_dir), Path(truth_dir))
    seen = _values([truth for _, truth in pairs])
    one = classes is None and seen <= {0, 255} and 255 in seen and _values([p for p, _ in pairs]) <= {0, 1, 255}
    classes = _ONE if one else tuple(classes or _names_beside(Path(pred_dir)))
    count = len(classes)
    partial = frozenset(v for v in seen if v < count) if PARTIAL in seen else frozenset()
    sums = np.zeros((count, 4), np.int64)  # both, predicted, true, judged truth
    frames: dict[str, dict[str, dict[str, float]]] = {}
    outlines: dict[str, list[float]] = {name: [] for name in classes}
    right = judged_pixels = 0
    for prediction_path, truth_path in pairs:
        prediction, truth = read_png(prediction_path), read_png(truth_path)
        if one:
            prediction, truth = one_object(prediction), one_object(truth)
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
            both, mine, true = int((ours & theirs).sum()), int(ours.sum()), int(theirs.sum())
            sums[k] += both, mine, true, int(judged.sum())
            if true:
                fit = boundary_f(ours, theirs)
                outlines[classes[k]].append(fit)
                here = frames.setdefault(prediction_path.stem, {})
                here[classes[k]] = {"iou": both / (mine + true - both), "boundary_f": fit}
    figures: dict[str, Any] = {}
    for name, (both, ours, theirs, _) in zip(classes, sums.tolist(), strict=True):
        figures[name] = {
            "iou": both / (ours + theirs - both) if theirs else None,
            "precision": both / ours if ours and theirs else None,
            "recall": both / theirs if theirs else None,
            "pixels": theirs,
            "boundary_f": float(np.mean(outlines[name])) if outlines[name] else None,
        }
    fits = [f["boundary_f"] for f in figures.values() if f["boundary_f"] is not None]
    known = [f["iou"] for f in figures.values() if f["iou"] is not None]
    return {
        "images": len(pairs),
        "missing": missing,
        "classes": figures,
        "mean_iou": float(np.mean(known)) if known else None,
        "mean_boundary_f": float(np.mean(fits)) if fits else None,
        "accuracy": right / judged_pixels if judged_pixels else None,
        "frames": frames,
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


def _values(files: Sequence[Path]) -> set[int]:
    return {int(v) for path in files for v in np.unique(read_png(path))}


def _names_beside(folder: Path) -> Sequence[str]:
    file = folder / CLASSES_FILE
    return read_classes(file) if file.is_file() else _NAMES


def _check_values(labels: np.ndarray, path: Path, count: int, special: tuple[int, ...]) -> None:
    wrong = sorted(int(v) for v in np.unique(labels) if v >= count and v not in special)
    if wrong:
        raise InputError(f"{path} holds the value {wrong[0]}, but there are {count} classes. Name them with --classes.")


def object_iou(pred_dir: Path, truth_dir: Path, index: int) -> dict[str, Any]:
    """IoU of class ``index`` with masks of one object (0 = background, all else = object), as DAVIS stores them.

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

    lines = ["| class | IoU | boundary F | precision | recall |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | " + " | ".join(number(f[k]) for k in ("iou", "boundary_f", "precision", "recall")) + " |"
        for name, f in result["classes"].items()
        if f["pixels"]
    ]
    lines.append(f"| **mean** | **{number(result['mean_iou'])}** | **{number(result['mean_boundary_f'])}** | | |")
    lines += ["", f"{result['images']} images, pixel accuracy {number(result['accuracy'])}"]
    if result["missing"]:
        lines[-1] += f"; {result['missing']} truths have no prediction"
    return "\n".join(lines) + "."
