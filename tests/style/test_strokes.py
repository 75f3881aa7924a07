"""The size of strokes, and enlarging paint along the edges of the source."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import UsageError
from segnst.style.strokes import at_stroke_size, guided_upsampling, working_size
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


@pytest.mark.parametrize(
    ("frame", "stroke_size", "expected"),
    [
        ((360, 640), 1, (360, 640)),
        ((1080, 1920), 1, (360, 640)),
        ((3840, 2160), 1, (640, 360)),
        ((1080, 1920), 0.5, (720, 1280)),
        ((1080, 1920), 2, (180, 320)),
        ((90, 160), 1, (90, 160)),
        ((90, 160), 0.5, (180, 320)),
        ((1080, 1920), 0.25, (1440, 2560)),
        ((60, 1920), 1, (24, 768)),  # the network cannot paint less than 24 px
    ],
)
def test_strokes_belong_to_the_frame_not_to_the_pixel(
    frame: tuple[int, int], stroke_size: float, expected: tuple[int, int]
) -> None:
    assert working_size(frame, stroke_size, 24) == expected


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


def test_enlarged_strokes_are_crisp_and_do_not_ring() -> None:
    small, flat = torch.zeros(1, 3, 32, 32), torch.full((1, 1, 32, 32), 0.5)
    small[..., 16:] = 1
    large = guided_upsampling(small, flat, torch.full((1, 1, 128, 128), 0.5))
    assert large.min() >= 0
    assert large.max() <= 1
    plain = F.interpolate(small, (128, 128), mode="bicubic")
    assert (large[..., 1:] - large[..., :-1]).max() > 1.2 * (plain[..., 1:] - plain[..., :-1]).max()


def test_even_paint_keeps_some_of_the_sources_detail() -> None:
    guide = texture(128, 128)[None].float().mean(1, keepdim=True)
    guide_small = F.interpolate(guide, (32, 32), mode="bilinear", antialias=True)
    large = guided_upsampling(torch.full((1, 3, 32, 32), 0.5), guide_small, guide)
    fine = guide - F.interpolate(guide_small, (128, 128), mode="bicubic")
    assert torch.allclose(large - 0.5, 0.3 * fine.expand(1, 3, -1, -1), atol=1e-3)


def test_scales_out_of_range_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="--stroke-size"):
        Scale(stroke_size=0)
    with pytest.raises(UsageError, match="Did you mean 'exact'"):
        Scale(tile="exakt")
