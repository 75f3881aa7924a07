"""Frames of colored squares on black, and a finder for them: red squares are people, green squares are cars."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst.segmentation.objects.instances import Finder, Found
from segnst.types import Region

CLASSES = (Region(0, "other"), Region(1, "person", ("people",)), Region(2, "car", ("vehicle",)))
SIZE = (48, 96)


def frame(*squares: tuple[str, int, int, int]) -> Tensor:
    """Draw squares, each (class, left, top, side) -> frame [1,3,48,96]."""
    rgb = torch.zeros(1, 3, *SIZE)
    for name, x, y, side in squares:
        rgb[:, 0 if name == "person" else 1, y : y + side, x : x + side] = 1
    return rgb


class SquareFinder(Finder):
    def __init__(self) -> None:
        super().__init__("squares", CLASSES)

    def __call__(self, rgb: Tensor) -> Found:
        labels, scores, masks = [], [], []
        for index, channel in ((1, 0), (2, 1)):
            solid = (rgb[0, channel] > 0.5).numpy().astype(np.uint8)
            count, parts = cv2.connectedComponents(solid)
            for part in range(1, count):
                labels.append(index)
                scores.append(0.9)
                masks.append(torch.from_numpy(parts == part).float())
        return Found(tuple(labels), tuple(scores), torch.stack(masks) if masks else torch.zeros(0, *SIZE))
