"""What a flow estimator is, and how far its flow can be trusted."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.flow.warp import inside, warp
from segnst.types import Motion


class FlowEstimator(Protocol):
    """Dense backward flow: RGB [T,3,H,W] in [0,1], twice -> [T,2,H,W] px (current -> previous)."""

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor: ...


def consistency(flow: Tensor, back: Tensor) -> Tensor:
    """1 where forward and backward flow agree (Sundaram 2010, as used by Ruder 2016 and Lai 2018).

    |w + w'|² <= 0.01 (|w|² + |w'|²) + 0.5, with w' the opposite flow at the place w points to.
    """
    back = warp(back, flow)
    difference = (flow + back).square().sum(1, keepdim=True)
    size = flow.square().sum(1, keepdim=True) + back.square().sum(1, keepdim=True)
    return (difference <= 0.01 * size + 0.5).to(flow.dtype)


def motion_boundary(flow: Tensor) -> Tensor:
    """1 where the flow is discontinuous: |∇u|² + |∇v|² > 0.01 |w|² + 0.002; [B,2,H,W] -> [B,1,H,W]."""
    dx = F.pad(flow[..., 1:] - flow[..., :-1], (0, 1))
    dy = F.pad(flow[..., 1:, :] - flow[..., :-1, :], (0, 0, 0, 1))
    steep = (dx.square() + dy.square()).sum(1, keepdim=True)
    return (steep > 0.01 * flow.square().sum(1, keepdim=True) + 0.002).to(flow.dtype)


def estimate_motion(estimator: FlowEstimator, current: Tensor, previous: Tensor) -> Motion:
    """Backward flow and its reliability for RGB [T,3,H,W] in [0,1].

    Reliable is what passes the forward–backward check, lies inside the last frame and looks the same
    there (a uniform wrong flow passes the first test). Motion boundaries are left to the colour test:
    DIS flow is smooth where objects part, and cutting bands out there would let their edges flicker.
    """
    flow, back = estimator(current, previous), estimator(previous, current)
    agree = consistency(flow, back) * inside(flow)
    unlike = F.avg_pool2d(
        (current - warp(previous, flow)).square().sum(1, keepdim=True), 5, 1, 2, count_include_pad=False
    )
    reliable = agree * torch.exp(-unlike / (2 * 0.06**2))
    # a lone unreliable pixel is noise of the check; an edge of the reliable area should not be a step
    return Motion(flow, F.avg_pool2d(reliable, 5, 1, 2, count_include_pad=False))
