"""Running the command line in a separate folder, and material for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.pixels import to_bytes
from segnst.weights import write_tensors
from tests.clips import panning, texture, write_clip


def write_vgg(path: Path, *, deep: bool = False) -> None:
    """VGG19's first convolutions to relu2_1, or to relu4_1, random and with few channels, as a file."""
    torch.manual_seed(0)
    shapes = {"features.0": (8, 3), "features.2": (8, 8), "features.5": (12, 8)}
    if deep:
        shapes |= {f"features.{n}": (12, 12) for n in (7, 10, 12, 14, 16, 19)}
    tensors = {f"{k}.weight": torch.randn(*s, 3, 3) / (3 * s[1]) ** 0.5 for k, s in shapes.items()}
    tensors |= {f"{k}.bias": torch.zeros(s[0]) for k, s in shapes.items()}
    write_tensors(path, tensors, {}, half=False)


def save(path: Path, rgb: torch.Tensor) -> None:
    cv2.imwrite(str(path), np.ascontiguousarray(to_bytes(rgb)[..., ::-1]))


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    save(folder / "photo.png", texture(48, 64, 1))
    save(folder / "red.png", texture(40, 56, 2) * torch.tensor([1.0, 0.2, 0.2])[:, None, None])
    save(folder / "blue.png", texture(60, 40, 3) * torch.tensor([0.2, 0.2, 1.0])[:, None, None])
    write_clip(folder / "clip.mp4", panning(3, 64, 64))
    write_vgg(folder / "vgg.safetensors")
    return folder
