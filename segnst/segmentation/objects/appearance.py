"""The appearance of an object compared with its surroundings in one window: colors, classes and features."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 16  # histogram bins per color channel


@dataclass(frozen=True, slots=True)
class Looks:
    """Normal equations of the ridge regression, as weighted means over frames: gram [F,F] and right side [F]."""

    gram: Tensor
    right: Tensor

    def mixed(self, other: Looks, share: float) -> Looks:
        """Return the mix of this one and ``share`` (in [0,1]) of the other."""
        return Looks(torch.lerp(self.gram, other.gram, share), torch.lerp(self.right, other.right, share))


def bins(lab: np.ndarray) -> np.ndarray:
    """uint8 Lab [h,w,3] -> the histogram bin of each pixel, int32 [h,w]; ``BINS`` bins per channel."""
    cell = (lab // (256 // BINS)).astype(np.int32)
    return np.asarray((cell[..., 0] * BINS + cell[..., 1]) * BINS + cell[..., 2])


def histogram(places: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted color histogram [BINS,BINS,BINS] that sums to 1, smoothed over neighboring bins.

    places  the result of ``bins``, [h,w];  weight  of each pixel, [h,w]
    """
    counts: np.ndarray = np.bincount(places.ravel(), weight.ravel(), BINS**3).reshape(BINS, BINS, BINS)
    for axis in range(3):
        counts = (np.roll(counts, 1, axis) + 2 * counts + np.roll(counts, -1, axis)) / 4
    return np.asarray((counts / max(counts.sum(), 1e-6)).astype(np.float32))


def shares(seen: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """For each class of ``seen`` [K,h,w], the share of its pixels near the object that belong to the object: [K]."""
    reach = max(3, round(0.12 * max(mask.shape)))
    near = cv2.dilate((mask > 0.5).astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    both, all_ = (np.einsum("khw,hw->k", seen, near * m) for m in (mask, np.ones_like(mask)))
    return np.asarray(both / (all_ + 20))


def looks(features: Tensor, mask: np.ndarray) -> Looks:
    """The normal equations from one window: features [F,h',w'] against the soft mask [h,w] of the object.

    Object and surroundings have equal total weight; pixels with a mask near 0.5 have little weight.
    """
    soft = F.interpolate(torch.from_numpy(mask)[None, None], features.shape[1:], mode="area")[0, 0].flatten()
    side = torch.where(soft > 0.5, 1.0, -1.0)
    weight = (2 * soft - 1).abs()
    for which in (1.0, -1.0):
        weight[side == which] *= 500 / weight[side == which].sum().clamp_min(1)
    flat = features.flatten(1)
    return Looks(((flat * weight) @ flat.T).double(), (flat @ (weight * side)).double())


def agreement(evidence: np.ndarray, mask: np.ndarray) -> float:
    """How well log odds [h,w] separate the inside of the mask from the ring around it, in [-1,1] (1: perfectly)."""
    inside, outside = mask > 0.5, mask < 0.5
    if not inside.any() or not outside.any():
        return 0.0
    reach = max(3, round(0.1 * max(mask.shape)))
    ring = outside & (cv2.dilate(inside.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0)
    return float(np.tanh(evidence[inside]).mean() - np.tanh(evidence[ring if ring.any() else outside]).mean()) / 2
