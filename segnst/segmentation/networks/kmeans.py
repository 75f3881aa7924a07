"""Clusters of color and position as segments (k-means, Lloyd 1982, with k-means++ seeds), stable over time.

On each frame, the clusters start from the centers of the last frame, so that every cluster keeps its number. After a
scene cut, clustering starts anew, and the clusters are numbered from the largest to the smallest.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import UsageError
from segnst.pixels import quantized, size_within
from segnst.segmentation.base import Segmenter
from segnst.types import Region

SIDE = 160  # px, long side of the reduced frame that is clustered
POSITION = 40.0  # distance in Lab units that the long side of the frame counts as (white is 100 from black)
SOFTNESS = 40.0  # temperature of the softmax over squared distances; larger values give softer edges
ROUNDS = 4  # Lloyd iterations per frame, starting from the centers of the last frame


class KMeansSegmenter(Segmenter[np.ndarray]):
    """A segmenter of ``count`` clusters, whose regions are ``cluster1``, ``cluster2`` and so on.

    rgb [T,3,H,W] -> probabilities [T,count,h,w]; the carry holds the centers, float32 [count,5]: Lab, x, y.

    Raises UsageError for a frame that has fewer pixels than clusters.
    """

    in_order = True  # the numbers of the clusters come from the earlier frames

    def __init__(self, count: int) -> None:
        super().__init__(f"kmeans:{count}", [Region(k, f"cluster{k + 1}") for k in range(count)])
        self.count = count

    def frame(self, rgb: Tensor, carry: np.ndarray | None) -> tuple[Tensor, np.ndarray]:
        points, size = _points(rgb)
        centers = _begin(points, self.count) if carry is None else _go_on(points, carry)
        distance = ((points[:, None] - centers[None]) ** 2).sum(2)
        soft = torch.from_numpy(distance).neg().div(SOFTNESS).softmax(1)
        return soft.T.reshape(1, self.count, *size).to(rgb.device), centers

    def colors(self, carry: np.ndarray | None) -> np.ndarray | None:
        """The mean colors of the clusters, uint8 RGB [count,3], so that label maps resemble the frames."""
        if carry is None:
            return None
        lab = np.ascontiguousarray(carry[None, :, :3].astype(np.float32))
        return quantized(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)[0])


def _points(frame: Tensor) -> tuple[np.ndarray, tuple[int, int]]:
    """Reduce a frame [1,3,H,W] -> the points to cluster, float32 [h*w,5], and (h, w)."""
    size = size_within(frame.shape[2:], SIDE, 2)
    small = F.interpolate(frame.detach().cpu().float(), size, mode="area")[0].permute(1, 2, 0).contiguous().numpy()
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)  # L 0…100, a and b about ±100
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32) * (POSITION / max(size))
    return np.concatenate((lab, x[..., None], y[..., None]), 2).reshape(-1, 5).astype(np.float32), size


def _begin(points: np.ndarray, count: int) -> np.ndarray:
    if len(points) < count:
        raise UsageError(f"A frame of {len(points)} px cannot have {count} clusters.")
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.1)
    _, labels, centers = cv2.kmeans(points, count, None, stop, 3, cv2.KMEANS_PP_CENTERS)
    order = np.argsort(-np.bincount(labels.ravel(), minlength=count), kind="stable")
    return np.asarray(centers[order], np.float32)


def _go_on(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    for _ in range(ROUNDS):
        nearest = ((points[:, None] - centers[None]) ** 2).sum(2).argmin(1)
        counts = np.bincount(nearest, minlength=len(centers)).astype(np.float32)
        sums = np.stack([np.bincount(nearest, points[:, k], len(centers)) for k in range(5)], 1)
        # An empty cluster keeps its center, so that it can gain pixels again later.
        centers = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centers).astype(np.float32)
    return centers


def load(name: str, *, device: torch.device, offline: bool = False) -> KMeansSegmenter:
    """Registry entry ``kmeans:K``, K from 2 to 32 (``kmeans`` alone: 5). Raises UsageError."""
    _, colon, text = name.partition(":")
    try:
        count = int(text) if colon else 5
    except ValueError:
        count = 0
    if not 2 <= count <= 32:
        raise UsageError(f"'{name}' should be kmeans:K with K clusters, 2 to 32.")
    return KMeansSegmenter(count)
