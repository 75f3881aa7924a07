"""Large pictures in tiles: the same picture, no seams."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segnst.style.checkpoints import load_style
from segnst.style.conditional import ConditionalTransformer
from segnst.style.painter import Painter
from segnst.style.scene import paint_layers
from segnst.style.tiling import paint_auto, paint_exact, tiles
from tests.clips import texture
from tests.style.make import random_net


@pytest.fixture(scope="module", params=[3, 5])
def net(request: pytest.FixtureRequest) -> ConditionalTransformer:
    return random_net(3, 4, blocks=1, down=request.param)


def scene(height: int, width: int) -> tuple[Tensor, Tensor]:
    rgb = texture(height, width)[None].float().clamp(0, 1)
    soft = torch.zeros(1, 2, height, width)
    soft[:, 0, :, : width // 3], soft[:, 1, :, width // 2 :] = 1, 0.8
    return rgb, soft


@pytest.mark.parametrize("size", [(99, 170), (128, 128)])
@pytest.mark.parametrize("layered", [True, False])
def test_exact_tiles_make_the_same_picture(net: ConditionalTransformer, size: tuple[int, int], layered: bool) -> None:
    rgb, soft = scene(*size)
    codes, masks = (torch.eye(3)[:2], soft) if layered else (torch.eye(3)[:1], None)
    whole, kept = paint_layers(net, rgb, codes, masks)
    tiled, same = paint_exact(net, rgb, codes, masks, side=128)
    assert (whole - tiled).abs().max() < 2 / 255
    assert (whole - tiled).abs().mean() < 1e-4
    later, _ = paint_layers(net, rgb.flip(-1), codes, masks, kept)
    later_tiled, _ = paint_exact(net, rgb.flip(-1), codes, masks, same, side=128)
    assert (later - later_tiled).abs().max() < 2 / 255


def test_exact_tiles_of_the_painter_too() -> None:
    torch.manual_seed(3)
    painter = Painter(2, 4, 1, 1).eval().requires_grad_(False)
    rgb = scene(90, 301)[0]
    whole, _ = paint_layers(painter, rgb, torch.eye(2)[:1], None)
    tiled, _ = paint_exact(painter, rgb, torch.eye(2)[:1], None, side=128)
    assert (whole - tiled).abs().max() < 2 / 255


@pytest.mark.slow
def test_exact_tiles_of_two_megapixels_by_the_bundled_collection() -> None:
    bundled = load_style("starry_night").member
    assert bundled is not None
    painter = bundled.collection.net
    rgb, soft = scene(1224, 1632)
    codes = torch.eye(painter.styles)[:2]
    with torch.inference_mode():
        whole, _ = paint_layers(painter, rgb, codes, soft)
        tiled, _ = paint_exact(painter, rgb, codes, soft)
        assert (whole - tiled).abs().max() < 2 / 255
        rough, _ = paint_auto(painter, rgb, codes, soft, side=512)
    steps = (rough[..., 1:] - rough[..., :-1]).abs().mean((0, 1, 2))
    borders = torch.arange(511, 1631, 512)
    inside = torch.ones(len(steps), dtype=torch.bool).index_fill(0, borders, False)
    assert steps[borders].mean() / steps[inside].mean() < 1.05


def test_auto_tiles_have_no_seams(net: ConditionalTransformer) -> None:
    rgb, soft = scene(512, 640)
    painted, _ = paint_auto(net, rgb, torch.eye(3)[:2], soft, side=128)
    assert painted.shape == rgb.shape
    steps = (painted[..., 1:] - painted[..., :-1]).abs().mean((0, 1, 2))
    borders = torch.arange(127, 639, 128)
    beside = torch.cat((borders - 1, borders + 1))
    assert steps[borders].mean() / steps[beside].mean() < 1.05


def test_tiles_cover_the_frame_once() -> None:
    count = torch.zeros(1, 1, 300, 420)
    for tile in tiles(300, 420, 128):
        tile.cut(count, 0).add_(1)
        margin = tile.cut(torch.arange(300.0)[None, None, :, None].expand(1, 1, 300, 420), 72)
        assert tile.inner(margin, 72)[0, 0, 0, 0] == tile.rows[0]
    assert bool((count == 1).all())
