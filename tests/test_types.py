"""The values passed between stages print their shapes, as logs and failing tests need them, but never pixels."""

from __future__ import annotations

from fractions import Fraction

import torch

from segnst.types import Clip, LayerMasks, Motion


def test_a_clip_prints_shapes_and_times() -> None:
    clip = Clip(torch.zeros(3, 3, 36, 64), (10, 11, 12), Fraction(1, 25))
    assert repr(clip) == "Clip(rgb float32 [3,3,36,64], 0.400 to 0.480 s in units of 1/25 s)"
    with_alpha = Clip(torch.zeros(1, 3, 4, 6), (0,), Fraction(1, 25), torch.zeros(1, 1, 4, 6, dtype=torch.float16))
    assert repr(with_alpha) == "Clip(rgb float32 [1,3,4,6], 0.000 s in units of 1/25 s, alpha float16 [1,1,4,6])"
    assert "no frames" in repr(Clip(torch.zeros(0, 3, 4, 6), (), Fraction(1, 25)))


def test_masks_and_motion_print_shapes() -> None:
    masks = LayerMasks(torch.zeros(2, 2, 1080, 1920), ("car", "background"))
    assert repr(masks) == "LayerMasks(soft float32 [2,2,1080,1920], layers car, background)"
    motion = Motion(torch.zeros(1, 2, 4, 6), torch.zeros(1, 1, 4, 6))
    assert repr(motion) == "Motion(flow float32 [1,2,4,6], reliable float32 [1,1,4,6])"


def test_the_device_is_named_where_it_is_not_the_cpu() -> None:
    assert "on meta" in repr(Motion(torch.zeros(1, 2, 4, 6, device="meta"), torch.zeros(1, 1, 4, 6, device="meta")))
