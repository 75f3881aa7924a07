"""Small clips and networks that tests generate."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from segnst.segmentation.base import Segmenter
from segnst.types import Clip, Region


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth random colors [3,H,W] in [0,1] with enough detail for optical flow."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=generator)
    fine = torch.rand(1, 3, height // 2 + 2, width // 2 + 2, generator=generator)
    up = [torch.nn.functional.interpolate(x, (height, width), mode="bicubic") for x in (coarse, fine)]
    return (0.7 * up[0] + 0.3 * up[1])[0].clamp(0, 1)


def panning(frames: int, height: int = 48, width: int = 64, step: int = 2, seed: int = 0) -> Tensor:
    """[T,3,H,W]: a window that moves right over a texture by ``step`` px a frame; so backward flow is (+step, 0)."""
    wide = texture(height, width + step * frames, seed)
    return torch.stack([wide[:, :, step * t : step * t + width] for t in range(frames)])


def as_clip(rgb: Tensor) -> Clip:
    return Clip(rgb, tuple(range(len(rgb))), Fraction(1, 25))


def write_clip(path: Path, rgb: Tensor, fps: int = 25, sound: bool = True) -> Path:
    """H.264 with a sine as AAC."""
    height, width = rgb.shape[-2:]
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=fps, options={"crf": "12"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = file.add_stream("aac", rate=48000, layout="mono") if sound else None
        for picture in (rgb * 255).round().byte().permute(0, 2, 3, 1).numpy():
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        file.mux(video.encode())
        if audio is not None:
            count = 48000 * len(rgb) // fps
            wave = np.sin(np.arange(count) * 0.05, dtype=np.float32)[None] * 0.2
            for k in range(0, count, 1024):
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[:, k : k + 1024]), "fltp", "mono")
                frame.sample_rate, frame.pts = 48000, k
                file.mux(audio.encode(frame))
            file.mux(audio.encode())
    return path


class HalfSegmenter(Segmenter[int]):
    """Left half vehicle, right half other: a segmenter whose truth is known."""

    def __init__(self) -> None:
        super().__init__("half", (Region(0, "other"), Region(1, "vehicle", ("car", "bus")), Region(2, "person")))

    def frame(self, rgb: Tensor, carry: int | None) -> tuple[Tensor, int]:
        left = (torch.arange(16) < 8).float().expand(1, 12, 16)
        return torch.stack((0.9 - 0.8 * left, 0.05 + 0.8 * left, torch.full_like(left, 0.05)), 1), (carry or 0) + 1
