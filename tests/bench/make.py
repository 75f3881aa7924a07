"""Clips whose truth is known, for the benchmark's tests."""

from __future__ import annotations

import lzma
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from segnst.bench.measure import Pair
from segnst.bench.samples import Sample
from segnst.flow.warp import inside
from segnst.pipeline import Styled
from segnst.style.transformer import TransformerNetwork
from segnst.types import Motion
from segnst.weights import write_tensors
from tests.clips import panning, write_clip

SCALE = 16


def shift(step: float, height: int, width: int) -> Tensor:
    """Backward flow [1,2,H,W] of ``panning``."""
    flow = torch.zeros(1, 2, height, width)
    flow[:, 0] = step
    return flow


def pair(flow: Tensor) -> Pair:
    """Exact flow without motion boundaries: a pixel is valid where its flow stays inside the frame."""
    return Pair(flow, inside(flow), 1 - inside(flow))


def sample(number: int, rgb: Tensor, painted: Tensor, motion: Motion | None = None, *, cut: bool = False) -> Sample:
    return Sample(number, rgb, painted, Styled(painted, painted, painted, None, motion, cut))


def write_truth(folder: Path, flows: list[np.ndarray], masks: list[np.ndarray], cuts: tuple[int, ...] = ()) -> None:
    """Truth as the renderer packs it: flows [H,W,2] of frames 1, 2, …; class masks of all frames; cuts from 0 on."""
    (folder / "masks").mkdir(parents=True)
    for k, mask in enumerate(masks, 1):
        cv2.imwrite(str(folder / "masks" / f"{k:04d}.png"), mask)
    height, width = masks[0].shape
    blobs = []
    for k, flow in enumerate(flows, 1):
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        to_x, to_y = x + flow[..., 0], y + flow[..., 1]
        hidden = (to_x < 0) | (to_y < 0) | (to_x > width - 1) | (to_y > height - 1) | (k in cuts)
        steps = np.rint(flow.transpose(2, 0, 1) * SCALE).astype(np.int16)
        planes = np.diff(steps, axis=2, prepend=np.int16(0)).astype("<i2").view(np.uint8).reshape(-1, 2)
        packed = planes[:, 0].tobytes() + planes[:, 1].tobytes() + np.packbits(hidden).tobytes()
        blobs.append(np.frombuffer(lzma.compress(packed), np.uint8))
    np.savez(
        folder / "flow.npz",
        shape=np.array([height, width]),
        scale=SCALE,
        ends=np.cumsum([0] + [len(b) for b in blobs]),
        data=np.concatenate(blobs),
        cuts=np.array([c + 1 for c in cuts], int),
    )


def rendered(folder: Path, frames: int = 6, step: int = 2, *, height: int = 48, width: int = 64, cut: int = 0) -> Path:
    """A panning clip with its truth beside it; the left half is a vehicle. Another shot begins at frame ``cut``."""
    rgb = panning(frames, height, width, step)
    if cut:
        red = torch.tensor((1.0, 0.2, 0.1)).view(1, 3, 1, 1)
        rgb[cut:] = red * panning(frames, height, width, step, seed=9)[cut:]
    flow = np.zeros((height, width, 2), np.float32)
    flow[..., 0] = step
    flows = [np.zeros_like(flow) if cut and k == cut else flow for k in range(1, frames)]
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 7
    write_truth(folder / "pan", flows, [mask] * frames, (cut,) if cut else ())
    return write_clip(folder / "pan.mp4", rgb, sound=False)


def tiny_style(folder: Path) -> Path:
    """A checkpoint of a small network."""
    torch.manual_seed(0)
    path = folder / "tiny.safetensors"
    write_tensors(path, TransformerNetwork(4, 1).state_dict(), {"format": "segnst-johnson", "style": "tiny"})
    return path
