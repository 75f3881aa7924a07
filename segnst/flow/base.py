"""What a flow estimator is, and how far its flow can be trusted."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.filters import box_mean, half
from segnst.flow.warp import inside, warp
from segnst.types import Motion

# What counts as the same place in both frames. With stricter limits, foliage and glass keep flickering; with looser
# ones, uncovered places keep the paint of what covered them (`segnst bench stability`: excess against ghosts).
UNLIKE = 0.12  # distance of RGB
APART = 1.0  # px², of flow and opposite flow


class FlowEstimator(ABC):
    """Estimates dense backward flow. name: how the user calls it."""

    name: str

    @abstractmethod
    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
        """RGB [T,3,H,W] in [0,1], twice -> [T,2,H,W] px (current -> previous)."""


def consistency(flow: Tensor, back: Tensor, apart: float = 0.5) -> Tensor:
    """1 where forward and backward flow agree (Sundaram 2010, as used by Ruder 2016 and Lai 2018).

    |w + w'|² <= 0.01 (|w|² + |w'|²) + ``apart``, with w' the opposite flow at the place w points to.
    """
    back = warp(back, flow)
    difference = (flow + back).square().sum(1, keepdim=True)
    size = flow.square().sum(1, keepdim=True) + back.square().sum(1, keepdim=True)
    return (difference <= 0.01 * size + apart).to(flow.dtype)


def motion_boundary(flow: Tensor) -> Tensor:
    """1 where the flow is discontinuous: |∇u|² + |∇v|² > 0.01 |w|² + 0.002; [B,2,H,W] -> [B,1,H,W]."""
    dx = F.pad(flow[..., 1:] - flow[..., :-1], (0, 1))
    dy = F.pad(flow[..., 1:, :] - flow[..., :-1, :], (0, 0, 0, 1))
    steep = (dx.square() + dy.square()).sum(1, keepdim=True)
    return (steep > 0.01 * flow.square().sum(1, keepdim=True) + 0.002).to(flow.dtype)


def estimate_motion(estimator: FlowEstimator, current: Tensor, previous: Tensor) -> Motion:
    """Backward flow and its reliability for RGB [T,3,H,W] in [0,1].

    A pixel is reliable when it passes the forward–backward check, comes from inside the last frame and looks the same
    there (a uniformly wrong flow passes the first check). Motion boundaries are left to the color test: DIS flow is
    smooth where objects separate, and excluding a band around them would let their edges flicker. All checks, and the
    opposite flow that they need, are computed at half the size. That takes a quarter of the time, and on clips with
    exact flow the stabilized result is as good.
    """
    flow = estimator(current, previous)
    now, then, small = half(current), half(previous), half(flow) / 2
    back = estimator(then, now)
    agree = consistency(small, back, APART / 4) * inside(small)
    unlike = box_mean((now - warp(then, small)).square().sum(1, keepdim=True), 3)
    # averaged, because a single unreliable pixel is noise of the check, and reliable areas should have soft edges
    reliable = box_mean(agree * torch.exp(-unlike / (2 * UNLIKE**2)), 3)
    return Motion(flow, F.interpolate(reliable, flow.shape[-2:], mode="bilinear", align_corners=False))
