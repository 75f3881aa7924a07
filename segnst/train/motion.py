"""Synthetic video for training on still photos: motion, and the other changes from one frame to the next."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from segnst.flow.warp import inside, warp

SHIMMER = {1: 0.3, 2: 0.25, 4: 0.25}  # px: {size of the grains: largest standard deviation of the displacement}
GLINT = {24: 0.015, 6: 0.015}  # {grains along a side: largest standard deviation of the logarithm of brightness}
LIGHT = 0.03  # largest change of the logarithm of the whole frame's brightness
NOISE = 0.005  # standard deviation
QUALITIES = (40, 91)  # of JPEG; the second is excluded

Painter = Callable[[Tensor, Tensor], Tensor]  # (photos [B,3,H,W], code [B,S]) -> painted


def _uniform(count: int, generator: Generator) -> Tensor:
    return torch.rand(count, 1, 1, 1, generator=generator)


def _grains(count: int, channels: int, side: int, cells: int, generator: Generator) -> Tensor:
    """Noise of standard deviation about 1 with ``cells`` grains along each side, [count,channels,side,side]."""
    noise = torch.randn(count, channels, cells, cells, generator=generator)
    if cells == side:
        return noise
    smooth = F.interpolate(noise, (side, side), mode="bicubic", align_corners=False)
    return smooth / smooth.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-3)


def synthetic_flow(count: int, side: int, generator: Generator, strength: float = 8.0) -> Tensor:
    """Backward flow [count,2,side,side] in px: a pan of several px, plus a zoom and a smooth random warp of about one.

    Between two frames of a video, things move far but hardly change their shape. Stronger warps would demand stretched
    strokes of the network, at the expense of the style.
    """
    grid = torch.linspace(-1, 1, side)
    x, y = torch.meshgrid(grid, grid, indexing="xy")
    pan = strength * (2 * torch.rand(count, 2, 1, 1, generator=generator) - 1)
    zoom = 0.01 * side * (2 * torch.rand(count, 1, 1, 1, generator=generator) - 1) * torch.stack((x, y))
    bumps = 0.1 * strength * torch.randn(count, 2, 5, 5, generator=generator)
    return pan + zoom + F.interpolate(bumps, (side, side), mode="bicubic", align_corners=True)


def shimmer(count: int, side: int, generator: Generator) -> Tensor:
    """Displacement [count,2,side,side] in px that optical flow does not capture.

    It imitates edges that are sampled differently in each frame, and leaves, spokes and bricks that occlude one
    another. It has several grain sizes and is stronger in some places than in others.
    """
    total = torch.zeros(count, 2, side, side)
    for grain, most in SHIMMER.items():
        where = torch.sigmoid(2 * _grains(count, 1, side, 5, generator)) * 2
        total += most * _uniform(count, generator) * where * _grains(count, 2, side, side // grain, generator)
    return total


def glints(count: int, side: int, generator: Generator) -> Tensor:
    """Factor [count,1,side,side] on brightness: moving highlights and reflections, and a change of exposure."""
    light = LIGHT * (2 * _uniform(count, generator) - 1).expand(-1, -1, side, side)
    for cells, most in GLINT.items():
        where = torch.sigmoid(3 * _grains(count, 1, side, 4, generator))
        light = light + most * _uniform(count, generator) * where * _grains(count, 1, side, cells, generator)
    return light.exp()


def compressed(rgb: Tensor, quality: int) -> Tensor:
    """Pictures [B,3,H,W] in [0,1] with artifacts of JPEG at this quality (1 to 100), in place of a video codec's."""
    kept = []
    for picture in rgb.detach().cpu():
        pixels = (picture * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        _, stored = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        read = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR))
        kept.append(torch.from_numpy(np.ascontiguousarray(read[:, :, ::-1])).permute(2, 0, 1))
    return torch.stack(kept).to(rgb) / 255


def next_frame(photos: Tensor, flow: Tensor, generator: Generator) -> Tensor:
    """Photos [B,3,S,S] as the next frame of a video would show them.

    They are moved by ``flow`` [B,2,S,S] and changed by shimmer, glints, noise and compression; the changes are
    distributed over frequencies and places like those in rendered street clips. The warp is cubic, because the network
    would learn blur as a means to stability.
    """
    count, _, _, side = photos.shape
    moved = warp(photos, flow + shimmer(count, side, generator).to(flow), "bicubic")
    noise = NOISE * torch.randn(moved.shape, generator=generator)
    moved = (moved * glints(count, side, generator).to(moved) + noise.to(moved)).clamp(0, 1)
    return compressed(moved, int(torch.randint(*QUALITIES, (1,), generator=generator)))


def motion_term(paint: Painter, photos: Tensor, painted: Tensor, code: Tensor, generator: Generator) -> Tensor:
    """Temporal consistency from still photos: the difference between painting a moved photo and moving a painted one.

    photos, painted [B,3,S,S]; code [B,styles]. Returns the mean square difference where the motion stays inside the
    picture, [B].
    """
    flow = synthetic_flow(len(photos), photos.shape[-1], generator).to(photos)
    moved = next_frame(photos, flow, generator)
    seen = inside(flow)
    difference = seen * (paint(moved, code) - warp(painted, flow, "bicubic")).square()
    mean: Tensor = difference.sum((1, 2, 3)) / (3 * seen.sum((1, 2, 3))).clamp_min(1.0)
    return mean
