"""The size of strokes, and enlarging paint along the edges of the source."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import UsageError
from segnst.style.strokes import at_stroke_size, guided_upsampling
from segnst.style.stylizer import Scale
from tests.clips import texture


def test_painting_happens_at_the_other_scale() -> None:
    seen = []

    def paint(rgb: Tensor, soft: Tensor | None) -> tuple[Tensor, str]:
        seen.append((tuple(rgb.shape), None if soft is None else tuple(soft.shape)))
        return rgb, "found"

    rgb, soft = texture(64, 96)[None], torch.rand(1, 2, 64, 96)
    for size, expected in ((1, (64, 96)), (2, (32, 48)), (0.5, (128, 192))):
        out, found = at_stroke_size(paint, rgb, soft, size)
        assert found == "found"
        assert out.shape == rgb.shape
        assert seen[-1] == ((1, 3, *expected), (1, 2, *expected))
    assert torch.equal(at_stroke_size(paint, rgb, None, 1)[0], rgb)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_paint_of_16_bits_is_resized_too(kind: torch.dtype) -> None:
    rgb = texture(64, 96)[None]
    for size in (0.5, 2):
        out, _ = at_stroke_size(lambda rgb, soft: (rgb.to(kind), None), rgb, None, size)
        assert out.shape == rgb.shape
        assert (out.float() - rgb).abs().mean() < 0.05


def test_enlarged_paint_keeps_its_strokes_and_the_sources_edges() -> None:
    guide = torch.zeros(1, 1, 64, 64)
    guide[..., 33:] = 1  # an edge that falls between pixels of the reduced picture
    small_guide = F.interpolate(guide, (16, 16), mode="bilinear", antialias=True)
    strokes = 0.2 * torch.sin(torch.arange(16.0))[None, None, :, None].expand(1, 3, 16, 16)
    small = 0.2 + 0.5 * small_guide + strokes
    large = guided_upsampling(small, small_guide, guide)
    assert (F.interpolate(large, (16, 16), mode="bilinear", antialias=True) - small).abs().mean() < 0.02
    plain = F.interpolate(small, (64, 64), mode="bicubic")
    across = (large[..., 33] - large[..., 32]).mean()
    assert across > 2 * (plain[..., 33] - plain[..., 32]).mean()


def test_scales_out_of_range_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="--stroke-size"):
        Scale(stroke_size=0)
    with pytest.raises(UsageError, match="Did you mean 'exact'"):
        Scale(tile="exakt")
