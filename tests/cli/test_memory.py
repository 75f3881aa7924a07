"""Long clips need no more memory than short ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from segnst.jobs.style import style_video
from segnst.style.transformer import TransformerNetwork
from segnst.weights import write_tensors
from tests.clips import panning, write_clip

STATM = Path("/proc/self/statm")


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="memory in use is read from /proc")
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    write_tensors(tmp_path / "tiny.safetensors", TransformerNetwork(4, 1).state_dict(), {"format": "segnst-johnson"})
    clip = write_clip(tmp_path / "long.mp4", panning(24, 180, 320).repeat(20, 1, 1, 1))
    used: list[float] = []

    def progress(done: int, expected: int | None) -> None:
        used.append(int(STATM.read_text().split()[1]) * 4096 / 2**20)

    style_video(clip, tmp_path / "out.mp4", str(tmp_path / "tiny.safetensors"), progress=progress)
    assert len(used) == 480
    assert used[-1] - used[119] < 40, f"{used[119]:.0f} MB after 120 frames, {used[-1]:.0f} MB after 480"
