"""Scene cuts: where the past ends."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

SIZE = (36, 64)
STEP = 0.07  # smallest mean change of a thumbnail's pixels that can be a cut
RATIO = 3.0  # a cut also changes the thumbnail this many times as much as the last frames did


@dataclass(frozen=True, slots=True)
class CutCarry:
    """Thumbnail [1,3,h,w] of the last frame and the running mean of changes (None before the first)."""

    thumbnail: Tensor
    usual: float | None


def is_cut(rgb: Tensor, carry: CutCarry | None) -> tuple[bool, CutCarry]:
    """Whether RGB [1,3,H,W] in [0,1] begins a new scene.

    The change of a thumbnail, compensated for the change of brightness, must be large and stand out from the
    changes of the last frames (as in PySceneDetect's adaptive detector), so that a fast pan or a flash does not count.
    """
    thumbnail = F.interpolate(rgb, SIZE, mode="area")
    if carry is None:
        return False, CutCarry(thumbnail, None)
    now, then = (t / t.mean().clamp_min(0.02) * 0.4 for t in (thumbnail, carry.thumbnail))
    change = float((now - then).abs().mean())
    # without earlier changes to compare with, only a change larger than camera motion makes counts
    limit = STEP * RATIO if carry.usual is None else max(STEP, RATIO * carry.usual)
    if change > limit:
        # until a change within the new scene is known, those of the old scene are the comparison
        return True, CutCarry(thumbnail, carry.usual)
    return False, CutCarry(thumbnail, change if carry.usual is None else 0.7 * carry.usual + 0.3 * change)
