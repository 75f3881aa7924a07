"""Label maps: one number a pixel, made of soft masks or read from pictures.

A label map is uint8; its values are the indices of regions, but for ``PARTIAL`` and ``IGNORE``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # reading label maps needs no torch, which takes two seconds to import
    from torch import Tensor

PARTIAL = 254  # none of the classes that this source labels, otherwise unknown
IGNORE = 255  # unknown


def label_map(probabilities: Tensor, size: tuple[int, int]) -> Tensor:
    """[T,K,h,w] probabilities -> uint8 [T,H,W], the likeliest channel at each pixel of ``size`` (H, W).

    Raises ValueError for more channels than a label map has values for.
    """
    import torch
    import torch.nn.functional as F

    if probabilities.shape[1] > PARTIAL:
        raise ValueError("label maps hold at most 254 classes (254 and 255 have a meaning)")
    frames = []
    for frame in probabilities:  # one by one: all classes of one frame at full size, never of a whole batch
        seen = frame.flatten(1).amax(1).nonzero()[:, 0]  # of 80 classes, most are nowhere
        full = F.interpolate(frame[None, seen], size, mode="bilinear", align_corners=True)[0]
        frames.append(seen[full.argmax(0)].to(torch.uint8))
    return torch.stack(frames) if frames else torch.zeros((0, *size), dtype=torch.uint8)


def one_object(labels: np.ndarray) -> np.ndarray:
    """The mask of one object as pictures keep it (0 and 255, or 0 and 1) -> a label map of 0 and 1."""
    return (labels > 0).astype(np.uint8)


def shows_one_object(labels: np.ndarray) -> bool:
    """Whether a picture's values are black and white alone (of 8 or 16 bits): a mask of one object rather than indices
    of classes."""
    return set(np.unique(labels).tolist()) <= {0, 65535 if labels.dtype == np.uint16 else IGNORE}


def fits(mask: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Whether (H, W) of a mask and of a frame are one shape: the frame may have been reduced, to even sides."""
    ratio = mask[1] / mask[0]
    height, width = frame
    return abs(ratio - width / height) <= 0.02 or abs(width / ratio - height) <= 2 or abs(height * ratio - width) <= 2
