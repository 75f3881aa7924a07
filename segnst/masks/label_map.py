"""Label maps: one number per pixel, made from soft masks or read from pictures.

A label map is uint8. Its values are indices of regions, except for ``PARTIAL`` and ``IGNORE``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # reading label maps needs no torch, which takes two seconds to import
    from torch import Tensor

PARTIAL = 254  # not one of the classes that this data set labels, but otherwise unknown
IGNORE = 255  # unknown


def label_map(probabilities: Tensor, size: tuple[int, int]) -> Tensor:
    """[T,K,h,w] probabilities -> uint8 [T,H,W], the most likely channel at each pixel of ``size`` (H, W).

    Raises ValueError for more than 254 channels.
    """
    import torch
    import torch.nn.functional as F

    if probabilities.shape[1] > PARTIAL:
        raise ValueError("label maps hold at most 254 classes (254 and 255 have special meanings)")
    frames = []
    for frame in probabilities:  # one at a time, to save memory: all classes at full size take much
        seen = frame.flatten(1).amax(1).nonzero()[:, 0]  # most of 80 classes occur nowhere in the frame
        full = F.interpolate(frame[None, seen], size, mode="bilinear", align_corners=True)[0]
        frames.append(seen[full.argmax(0)].to(torch.uint8))
    return torch.stack(frames) if frames else torch.zeros((0, *size), dtype=torch.uint8)


def one_object(labels: np.ndarray) -> np.ndarray:
    """A picture's mask of one object (0 and 255, or 0 and 1) -> a label map of 0 and 1."""
    return (labels > 0).astype(np.uint8)


def shows_one_object(labels: np.ndarray) -> bool:
    """Whether a picture has only black and white pixels (8 or 16 bits), as a mask of one object has.

    All other pictures hold class indices.
    """
    return set(np.unique(labels).tolist()) <= {0, 65535 if labels.dtype == np.uint16 else IGNORE}


def fits(mask: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Whether a mask and a frame, sizes (H, W), have the same aspect ratio.

    A difference of two pixels is allowed, because reduced frames have their sides rounded to even numbers.
    """
    ratio = mask[1] / mask[0]
    height, width = frame
    return abs(ratio - width / height) <= 0.02 or abs(width / ratio - height) <= 2 or abs(height * ratio - width) <= 2
