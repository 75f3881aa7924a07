"""Small pictures and clips whose masks are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor


def texture(height: int, width: int, seed: int, color: tuple[int, int, int]) -> np.ndarray:
    """uint8 RGB [H,W,3]: a color with smooth noise, so that optical flow has texture to match."""
    noise = np.random.default_rng(seed).normal(0, 60, (height, width)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 5)
    noise *= 20 / noise.std()
    return np.clip(np.array(color, np.float32) + noise[..., None], 0, 255).astype(np.uint8)


def moving_disk(
    frames: int = 8, size: tuple[int, int] = (96, 160), step: int = 4
) -> tuple[list[Tensor], list[np.ndarray]]:
    """A red disk that moves to the right over a green background: frames [1,3,H,W] and true masks bool [H,W]."""
    ground, skin = texture(*size, 1, (60, 140, 70)), texture(*size, 2, (200, 50, 50))
    y, x = np.mgrid[: size[0], : size[1]]
    pictures, masks = [], []
    for t in range(frames):
        mask = (x - 45 - step * t) ** 2 + (y - 48) ** 2 < 24**2
        picture = np.where(mask[..., None], np.roll(skin, step * t, 1), ground)
        pictures.append(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)
        masks.append(mask)
    return pictures, masks


def write_frames(folder: Path, frames: list[Tensor]) -> Path:
    folder.mkdir(parents=True)
    for k, frame in enumerate(frames):
        picture = (frame[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        cv2.imwrite(str(folder / f"{k:06d}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return folder


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))
