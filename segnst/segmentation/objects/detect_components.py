"""Boxes without a detector network: the connected parts of a class in a segmenter's label map.

With the bundled segmenter, this is available on every machine.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst import registry
from segnst.segmentation.base import AnySegmenter
from segnst.segmentation.objects.detect import Detection, Detector

SMALLEST = 0.002  # area below which a part is ignored, as a share of the frame
MARGIN = 0.02  # share of its sides by which a box is enlarged, because the segmenter's edges are soft


class ComponentDetector(Detector):
    """A detector that uses a segmenter. Objects of a class that touch share one box."""

    def __init__(self, name: str, segmenter: AnySegmenter) -> None:
        super().__init__(name, segmenter.regions, segmenter.path)
        self.segmenter = segmenter

    def __call__(self, rgb: Tensor, wanted: frozenset[int]) -> list[Detection]:
        p = self.segmenter(rgb)[0][0].float().cpu().numpy()
        likeliest = p.argmax(0)
        grow_x, grow_y = rgb.shape[3] / p.shape[2], rgb.shape[2] / p.shape[1]
        found = []
        for index in sorted(wanted):
            count, parts, boxes, _ = cv2.connectedComponentsWithStats((likeliest == index).astype(np.uint8))
            for part in range(1, count):
                x, y, w, h, area = (int(v) for v in boxes[part])
                if area >= SMALLEST * likeliest.size:
                    left, top = max(0.0, x - MARGIN * w), max(0.0, y - MARGIN * h)
                    right, bottom = min(p.shape[2], x + w * (1 + MARGIN)), min(p.shape[1], y + h * (1 + MARGIN))
                    box = (left * grow_x, top * grow_y, (right - left) * grow_x, (bottom - top) * grow_y)
                    found.append(Detection(index, float(p[index][parts == part].mean()), box))
        return found


def load(name: str, *, device: str | torch.device, offline: bool = False) -> ComponentDetector:
    """Load the segmenter of this name as a detector. Raises WeightsError."""
    segmenter = registry.get(registry.SEGMENTERS, name, "segmenter")(name, device=device, offline=offline)
    return ComponentDetector(name, segmenter)
