"""What clicks selected, looked at before anything is painted: very little or nearly all is hardly what was meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst.errors import UsageError
from segnst.pixels import to_bytes
from segnst.segmentation.base import STUFF, AnySegmenter, Prompt
from segnst.segmentation.networks.kmeans import KMeansSegmenter
from segnst.segmentation.objects.clicks import points_of
from segnst.segmentation.objects.cutout import class_probabilities
from segnst.segmentation.objects.tracker import AnyTracker, Mark

LEAST, MOST = 0.001, 0.9  # share of the frame below and above which a selection is doubted
SEEN = 0.001  # share of the frame that a class must cover to be named
CLUSTERS = 5
NAMED = 3  # most classes that are named


def questions(tracker: AnyTracker, marks: Sequence[Mark], frames: Mapping[int, Tensor], guide: AnySegmenter,
              scale: float) -> list[str]:  # fmt: skip
    """A warning for each object that was clicked and is hardly what was meant, with what lies nearest to the click.

    frames  the frames of the marks by their numbers: RGB [1,3,H,W], uint8 or float in [0,1]
    guide   a segmenter whose classes are named
    scale   pixels of these frames per pixel of the input, in which the user typed

    Raises UsageError where nothing can be cut out at a click, also with what lies nearest.
    """
    found = []
    for mark in marks:
        clicks = [p for p in mark.prompts if p.box is None and any(belongs for *_, belongs in points_of(p))]
        if not clicks or mark.frame not in frames:
            continue
        frame = frames[mark.frame]
        rgb = frame.float() / 255 if frame.dtype == torch.uint8 else frame
        try:
            masks, _ = tracker.with_marks([Mark(mark.name, 0, mark.prompts)])(rgb, None)
        except UsageError as error:
            raise UsageError(f"{error} {nearest(rgb, clicks[0], guide, scale)}") from error
        share = float((masks[0, 1] > 0.5).float().mean())
        if LEAST <= share <= MOST:
            continue
        x, y = _click(clicks[0])
        many = "nearly all" if share > MOST else "almost nothing"
        found.append(
            f"The click at {x / scale:g},{y / scale:g} selects {many}: '{mark.name}' is {percent(share)} of frame "
            f"{mark.frame}. {nearest(rgb, clicks[0], guide, scale)} Or draw a --box around the object; --preview shows "
            "what is selected."
        )
    return found


def percent(share: float) -> str:
    """A share in [0,1] as ``12 %``, with as many digits as it takes to differ from 0."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 else f"{value:.1f} %" if value >= 0.1 else f"{value:.2g} %"


def _click(prompt: Prompt) -> tuple[float, float]:
    x, y, _ = next(p for p in points_of(prompt) if p[2])
    return x, y


def nearest(rgb: Tensor, prompt: Prompt, guide: AnySegmenter, scale: float) -> str:
    """The classes nearest to the first click of a prompt, things before ground and sky, and the click's cluster."""
    picture = np.ascontiguousarray(to_bytes(rgb[0]))
    x, y = _click(prompt)
    row, column = min(int(y), picture.shape[0] - 1), min(int(x), picture.shape[1] - 1)
    labels = class_probabilities(guide, picture).argmax(0)
    seen: list[tuple[bool, float, float, str]] = []
    for region in guide.regions:
        mask = labels == region.index
        share = float(mask.mean())
        if share < SEEN or region.name in ("other", "none", "background", "unlabeled"):
            continue
        away = float(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)[row, column]) / scale
        seen.append((region.name in STUFF, away, share, region.name))
    texts = [
        f"{name} ({percent(share)} of the frame, {'under the click' if away < 1 else f'{away:.0f} px away'})"
        for _, away, share, name in sorted(seen)[:NAMED]
    ]
    said = f"Nearest are {', '.join(texts)}" if texts else "No class is seen there"
    clusters, _ = KMeansSegmenter(CLUSTERS)(rgb)
    number = clusters[0].argmax(0)
    at = int(number[row * number.shape[0] // picture.shape[0], column * number.shape[1] // picture.shape[1]])
    same = percent(float((number == at).float().mean()))
    return f"{said}; the click's color is cluster{at + 1} of --segmenter kmeans:{CLUSTERS} ({same} of the frame)."
