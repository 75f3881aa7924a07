"""What the page shows of a frame: the result, the masks, and how much it flickers."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst.assembly import Parts
from segnst.flow.base import estimate_motion
from segnst.flow.warp import warp
from segnst.pipeline import Pipeline, State
from segnst.pixels import from_bytes, to_bytes
from segnst.sheet import layer_picture
from segnst.style.stylizer import Stylizer
from segnst.types import LayerMasks

# view(parts of the frame, parts of the frame before, frame [1,3,H,W], the frame before) -> picture [3,H,W], facts
View = Callable[[Parts, Parts | None, Tensor, Tensor | None], tuple[Tensor, dict[str, Any]]]
HOT = 0.12  # difference of a pixel, in [0,1], that gets the hottest color


def result(parts: Parts, before: Parts | None, rgb: Tensor, last: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
    """The styled frame."""
    styled, _ = parts.pipeline.frame(rgb, State())
    return styled.rgb[0].cpu(), {}


def mask(parts: Parts, before: Parts | None, rgb: Tensor, last: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
    """The layers as colors over the darkened frame. The painter is not needed for it."""
    pipeline = parts.pipeline
    if pipeline.segmenter is None:
        return 0.35 * rgb[0].mean(0, keepdim=True).expand(3, -1, -1), {"shares": {}}
    seen = _without_painter(parts)
    styled, _ = seen.frame(rgb, State())
    if styled.masks is None:
        return rgb[0], {"shares": {}}
    soft = styled.masks.soft[0].cpu()
    shares = {name: round(float(m.mean()), 4) for name, m in zip(styled.masks.layers, soft, strict=True)}
    return layer_picture(soft, rgb[0]), {"shares": shares}


def _without_painter(parts: Parts) -> Pipeline:
    """The pipeline with a painter that leaves frames as they are."""
    pipeline = copy(parts.pipeline)
    pipeline.stylizer = _Unpainted(parts.pipeline.stylizer.amounts)
    pipeline.stabilizer, pipeline.idle = None, False
    return pipeline


def flicker(parts: Parts, before: Parts | None, rgb: Tensor, last: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
    """Where the result changes although the source only moves, as heat over the darkened frame.

    The last result is warped along the flow; the difference counts where the flow can be trusted.
    """
    assert before is not None and last is not None
    pipeline = parts.pipeline
    first, state = before.pipeline.frame(last, State())
    # the state must not hold what belongs to the other frame's segmenter
    second, _ = pipeline.frame(rgb, replace(state, segmenter=None))
    motion = second.motion
    if motion is None:
        if pipeline.flow is None:
            from segnst.flow.dis import load

            pipeline.flow = load(device=pipeline.device, offline=True)
        motion = estimate_motion(pipeline.flow, rgb, last)
    change = (second.rgb - warp(first.rgb, motion.flow, "bicubic")).abs().mean(1, keepdim=True) * motion.reliable
    heat = to_bytes((change[0] / HOT).clamp(0, 1).expand(3, -1, -1))[..., 0]
    colors = from_bytes(cv2.applyColorMap(np.ascontiguousarray(heat), cv2.COLORMAP_INFERNO)[..., ::-1])
    gray = 0.3 * rgb[0].cpu().mean(0, keepdim=True).expand(3, -1, -1)
    weight = torch.sqrt((change[0] / HOT).clamp(0, 1)).cpu()
    return gray * (1 - weight) + colors * weight, {"flicker": round(1000 * float((change**2).mean()), 3)}


class _Unpainted(Stylizer[None]):
    """Gives every frame back as it is."""

    def __call__(
        self, rgb: Tensor, masks: LayerMasks | None, carry: None = None, seconds: float = 0.0
    ) -> tuple[Tensor, None]:
        return rgb, None


VIEWS: dict[str, View] = {"result": result, "mask": mask, "flicker": flicker}
