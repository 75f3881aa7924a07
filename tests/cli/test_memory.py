"""Long clips need no more memory than short ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from segnst.style.transformer import TransformerNetwork
from segnst.weights import write_tensors
from tests.clips import panning, write_clip

MEASURED = """
import resource, sys
from segnst.run import style_video
style_video(sys.argv[1], sys.argv[2], sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    write_tensors(tmp_path / "tiny.safetensors", TransformerNetwork(4, 1).state_dict(), {"format": "segnst-johnson"})
    peaks = []
    for count in (120, 720):
        frames = panning(24, 180, 320).repeat(count // 24, 1, 1, 1)
        clip = write_clip(tmp_path / f"{count}.mp4", frames)
        command = [sys.executable, "-c", MEASURED, clip, tmp_path / f"{count}_out.mp4", tmp_path / "tiny.safetensors"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    frame = torch.empty(3, 180, 320).nbytes / 2**20
    assert peaks[1] - peaks[0] < 100 * frame, f"{peaks} MB for 120 and 720 frames"
