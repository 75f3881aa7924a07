"""The painter: sizes, layers, rows, files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segnst.perceptual.encoders import SMALL, load_encoder
from segnst.style.collection import Member, load_collection, write_collection
from segnst.style.networks import new_network, with_rows
from segnst.style.painter import Painter
from segnst.style.row_encoder import RowEncoder, description
from segnst.style.scene import paint_layers
from tests.clips import texture


@pytest.fixture
def net() -> Painter:
    torch.manual_seed(3)
    net = Painter(3, 4, 2, 1, identity=True)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith(("gamma", "beta")):
                parameter.add_(0.4 * torch.randn_like(parameter))
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(24, 24), (25, 31), (64, 40), (90, 161)])
def test_pictures_of_any_size_keep_it(net: Painter, size: tuple[int, int]) -> None:
    assert net(torch.rand(2, 3, *size), torch.eye(3)[:2]).shape == (2, 3, *size)


def test_what_is_too_small_is_said(net: Painter) -> None:
    with pytest.raises(ValueError, match="at least 24 px"):
        net(torch.rand(1, 3, 23, 64), torch.eye(3)[:1])


def test_one_layer_everywhere_is_the_style_alone(net: Painter) -> None:
    rgb, code = texture(48, 72)[None].float(), torch.eye(3)[1:2]
    painted, _ = paint_layers(net, rgb, code, None)
    assert torch.allclose(painted, net(rgb, code), atol=1e-4)


def test_two_layers_have_their_own_styles(net: Painter) -> None:
    rgb, soft = texture(64, 256)[None].float(), torch.zeros(1, 2, 64, 256)
    soft[:, 0, :, :128] = 1
    soft[:, 1] = 1 - soft[:, 0]
    both, moments = paint_layers(net, rgb, torch.eye(3)[:2], soft)
    swapped, _ = paint_layers(net, rgb, torch.eye(3)[[1, 0]], soft)
    assert (both - swapped).abs().mean() > 0.01
    again, _ = paint_layers(net, rgb, torch.eye(3)[:2], soft, moments)
    assert torch.allclose(both, again, atol=1e-4), "a repeated frame is painted the same"


def test_rows_paint_as_their_styles_do(net: Painter) -> None:
    rgb = texture(48, 72)[None].float().expand(2, -1, -1, -1)
    assert torch.allclose(net.painted_by(rgb, net.rows()[:2]), net(rgb, torch.eye(3)[:2]), atol=1e-5)


def test_a_copy_has_the_styles_that_were_asked_for(net: Painter) -> None:
    few = with_rows(net, [1, 2], identity=True)
    assert few.styles == 2
    assert torch.equal(few.rows(), net.rows()[1:])
    rgb = texture(48, 72)[None].float()
    assert torch.allclose(few(rgb, torch.eye(2)[:1]), net(rgb, torch.eye(3)[1:2]), atol=1e-5)


def test_it_begins_without_a_grid() -> None:
    torch.manual_seed(0)
    new = new_network("painter", 1, 8, identity=False)
    painted = new(texture(64, 64)[None].float(), torch.ones(1, 1))
    blocks = torch.nn.functional.pixel_unshuffle(painted, 2).view(3, 4, 32, 32)
    assert (blocks - blocks[:, :1]).abs().max() < 1e-5


def test_files_keep_the_network_and_its_encoder(net: Painter, tmp_path: Path) -> None:
    encoder = RowEncoder(10, net.rows().shape[1])
    path = tmp_path / "many.safetensors"
    write_collection(path, net, [Member("one"), Member("two")], {}, encoder)
    loaded = load_collection(path)
    assert isinstance(loaded.net, Painter) and loaded.encoder is not None
    rgb, code = texture(48, 72)[None].float(), torch.eye(3)[:1]
    assert torch.allclose(loaded.net(rgb, code), net(rgb, code), atol=0.02), "half precision"
    described = torch.randn(1, 10)
    assert torch.allclose(loaded.encoder(described), encoder(described), atol=0.02)


def test_a_description_tells_pictures_apart_whatever_their_size() -> None:
    judge = load_encoder(SMALL)
    one, two = texture(128, 160, 1)[None].float(), texture(128, 160, 2)[None].float() * 0.3
    big = torch.nn.functional.interpolate(one, scale_factor=1.25, mode="bilinear")
    a, b, c = (description(judge, x) for x in (one, big, two))
    assert (a - b).square().mean() < 0.5 * (a - c).square().mean()
