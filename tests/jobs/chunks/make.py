"""Clips and helpers for the tests of runs in chunks."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from segnst.config import Settings
from tests.clips import panning

ROOT = Path(__file__).resolve().parents[3]


def frames_of(path: Path) -> list[tuple[str, Fraction]]:
    """(SHA-256 of the decoded samples, time in seconds) of all frames of a video, or of the files of a folder."""
    if path.is_dir():
        return [(hashlib.sha256(p.read_bytes()).hexdigest(), Fraction(0)) for p in sorted(path.iterdir())]
    with av.open(str(path)) as file:
        return [
            (hashlib.sha256(f.to_ndarray().tobytes()).hexdigest(), (f.pts or 0) * Fraction(f.time_base or 1))
            for f in file.decode(video=0)
        ]


def uneven_clip(path: Path, count: int = 12, height: int = 48, width: int = 64) -> Path:
    """A clip whose frames last one to three units each, with B-frames and with sound that is longer than the film."""
    times = np.concatenate([[0], np.cumsum([1 + k % 3 for k in range(count - 1)])])
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=25, options={"crf": "12"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = file.add_stream("aac", rate=48000, layout="mono")
        for rgb, pts in zip(panning(count, height, width), times, strict=True):
            picture = (rgb * 255).round().byte().permute(1, 2, 0).numpy()
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts, frame.time_base = int(pts), Fraction(1, 25)
            file.mux(video.encode(frame))
        file.mux(video.encode())
        for k in range(0, 48000 * (int(times[-1]) + 25) // 25, 1024):
            wave = np.sin(np.arange(k, k + 1024) * 0.05, dtype=np.float32)[None] * 0.2
            piece = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
            piece.sample_rate, piece.pts = 48000, k
            file.mux(sound.encode(piece))
        file.mux(sound.encode())
    return path


def cut_clip(scenes: Sequence[int], height: int = 48, width: int = 64) -> torch.Tensor:
    """[T,3,H,W]: scenes of so many frames each, which differ in texture and color."""
    parts = []
    for number, count in enumerate(scenes):
        tint = torch.tensor([0.9, 0.2, 0.2]).roll(number).view(1, 3, 1, 1)
        parts.append((0.4 * panning(count, height, width, seed=number) + 0.6 * tint).clamp(0, 1))
    return torch.cat(parts)


def settings(style: Path, **more: object) -> Settings:
    """A tiny style for the whole frame, on the CPU."""
    return Settings(**{"styles": (str(style),), "device": "cpu", **more})  # type: ignore[arg-type]


def start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """The real command, as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "segnst", *map(str, arguments)],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells start background jobs without it
    )  # fmt: skip
