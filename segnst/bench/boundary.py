"""Boundary F (Perazzi 2016, DAVIS): how well the outline of a mask fits, regardless of the area that it covers."""

from __future__ import annotations

import cv2
import numpy as np

TOLERANCE = 0.008  # of the picture's diagonal


def outline(mask: np.ndarray) -> np.ndarray:
    """Pixels whose right, lower or lower right neighbor differs (as DAVIS's ``seg2bmap``): bool [H,W] -> bool [H,W]."""
    edge = np.zeros_like(mask)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def boundary_f(prediction: np.ndarray, truth: np.ndarray, tolerance: float = TOLERANCE) -> float:
    """F measure of the precision and recall of the outline: two masks, bool [H,W] -> [0,1].

    A pixel of one outline fits when the other outline passes within ``tolerance`` times the diagonal (rounded up to
    whole pixels). 1 where both outlines are empty, 0 where only one is.
    """
    ours, theirs = outline(prediction), outline(truth)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    reach = int(np.ceil(tolerance * np.hypot(*truth.shape)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (x * x + y * y <= reach * reach).astype(np.uint8)
    near_theirs, near_ours = (cv2.dilate(edge.astype(np.uint8), disk) > 0 for edge in (theirs, ours))
    precision = float((ours & near_theirs).sum() / ours.sum())
    recall = float((theirs & near_ours).sum() / theirs.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
