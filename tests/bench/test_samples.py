"""The pipelines behind the methods for stability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from segnst.bench.samples import Bench
from segnst.config import Settings
from segnst.masks.indexed_png import write_png
from tests.clips import texture


def test_masks_from_files_go_on_behind_a_cut(tmp_path: Path) -> None:
    """Three dark frames, then three bright ones; each frame's mask is a column further right."""
    dark, bright = 0.2 * texture(48, 64, 1), 0.8 + 0.2 * texture(48, 64, 2)
    (tmp_path / "masks").mkdir()
    for k in range(6):
        label = np.zeros((48, 64), np.uint8)
        label[:, 8 * k : 8 * k + 16] = 1
        write_png(tmp_path / f"masks/{k:06d}.png", label)
    settings = Settings(
        styles=("object=starry_night", "background=original"),
        masks=str(tmp_path / "masks"),
        device="cpu",
        edge="hard",
        fast=True,
    )
    noise = torch.Generator().manual_seed(0)
    frames = [(rgb + 0.01 * torch.rand(rgb.shape, generator=noise))[None].clamp(0, 1) for rgb in [dark] * 3]
    # mirrored and inverted, so that a cut is detected whatever the brightness
    frames += [(1 - rgb.flip(-1))[None] for rgb in [bright * torch.tensor([0.2, 1, 0.1])[:, None, None]] * 3]
    seen = list(Bench.build(settings).samples(iter(frames)))
    assert [sample.cut for sample, _ in seen] == [False, False, False, True, False, False]
    after = seen[3][0].ours.masks
    assert after is not None
    columns = (after.soft[0, 0] > 0.5).any(0).nonzero()[:, 0].tolist()
    assert (columns[0], columns[-1]) == (24, 39)
