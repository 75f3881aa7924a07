"""Many styles in one network: per-pixel conditional instance norm, plans carried out in one pass, collection files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import WeightsError
from segnst.plan import parse_plan
from segnst.style.checkpoints import known_styles, load_style
from segnst.style.collection import Collection, Member, load_collection, write_collection
from segnst.style.conditional import ConditionalTransformer, from_single, to_single, widened
from segnst.style.layer_norm import shares
from segnst.style.scene import paint_layers
from segnst.style.stylizer import InCollection, PlanStylizer
from segnst.style.transformer import TransformerNetwork
from segnst.types import LayerMasks
from segnst.weights import write_tensors
from tests.clips import texture
from tests.style.make import random_net

CPU = torch.device("cpu")


@pytest.fixture
def net() -> ConditionalTransformer:
    return random_net(3, 6, blocks=2, identity=True)


@pytest.fixture
def collection(net: ConditionalTransformer, tmp_path: Path) -> Collection:
    path = tmp_path / "mine.safetensors"
    write_collection(path, net, [Member("a", "First", "Painter", "1900"), Member("b")], {"date": "2026-11-21"})
    return load_collection(path)


def picture(height: int = 40, width: int = 56, seed: int = 0) -> Tensor:
    return texture(height, width, seed)[None].float().clamp(0, 1)


def halves(height: int, width: int) -> Tensor:
    soft = torch.zeros(1, 2, height, width)
    soft[:, 0, :, : width // 2], soft[:, 1, :, width // 2 :] = 1, 1
    return soft


def stylizer(collection: Collection, *entries: str) -> PlanStylizer:
    styles = {n: InCollection(collection, n) for n in collection.names}
    return PlanStylizer(parse_plan(entries), styles, CPU)


@pytest.mark.parametrize("down", [3, 5])
def test_a_single_style_becomes_a_collection_and_back(down: int) -> None:
    single = TransformerNetwork(6, 2, down=down).eval()
    rgb = picture()
    many = from_single(single, 3)
    assert torch.allclose(many(rgb, torch.eye(3)[1:2]), single(rgb), atol=1e-5)
    assert torch.allclose(to_single(many, [0.2, 0.3, 0.5])(rgb), single(rgb), atol=1e-5)


def test_kernels_that_halve_are_widened_by_a_blur(net: ConditionalTransformer, tmp_path: Path) -> None:
    wide = widened(net, 7)
    assert widened(net, net.down).state_dict()["conv2.conv.weight"].equal(net.conv2.conv.weight)
    x = torch.rand(1, 6, 32, 40)
    taps = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    blurred = F.conv2d(x, (taps[:, None] * taps).expand(6, 1, 5, 5), padding=2, groups=6)
    inner = (..., slice(2, -2), slice(2, -2))
    assert torch.allclose(wide.conv2.conv(x)[inner], net.conv2.conv(blurred)[inner], atol=1e-5)
    write_collection(tmp_path / "wide.safetensors", wide, [Member("a"), Member("b")], {})
    rgb, code = picture(), torch.eye(3)[:1]
    assert torch.allclose(load_collection(tmp_path / "wide.safetensors").net(rgb, code), wide(rgb, code), atol=5e-2)


def test_one_layer_everywhere_is_the_style_alone(net: ConditionalTransformer) -> None:
    rgb, code = picture(41, 55), torch.eye(3)[1:2]
    alone = net(rgb, code)
    assert torch.allclose(paint_layers(net, rgb, code, None)[0], alone, atol=1e-4)
    everywhere = torch.ones(1, 1, 41, 55)
    assert torch.allclose(paint_layers(net, rgb, code, everywhere)[0], alone, atol=2e-3)


def test_only_the_identity_knows_the_colors_of_a_plain_picture(net: ConditionalTransformer) -> None:
    red, blue = (torch.tensor(c).view(1, 3, 1, 1).expand(1, 3, 32, 32) for c in ((0.9, 0.1, 0.1), (0.1, 0.2, 0.9)))
    net.settle_identity(picture())
    style, identity = torch.eye(3)[:1], torch.eye(3)[2:]
    torch.testing.assert_close(net(red, style), net(blue, style), rtol=1e-3, atol=1e-3)
    assert (net(red, identity) - net(blue, identity)).abs().max() > 0.01


def test_the_identity_begins_as_the_mean_of_the_styles(net: ConditionalTransformer) -> None:
    rgb = picture()
    net.settle_identity(rgb)
    mean = torch.tensor([[0.5, 0.5, 0.0]])
    torch.testing.assert_close(net(rgb, torch.eye(3)[2:]), net(rgb, mean), rtol=1e-3, atol=1e-3)


def test_the_style_of_a_pixel_is_that_of_its_layer(net: ConditionalTransformer) -> None:
    rgb, codes = picture(48, 256), torch.eye(3)[:2]
    both, _ = paint_layers(net, rgb, codes, halves(48, 256))
    left, right = (net(rgb, code[None]) for code in codes)
    assert (both - left)[..., :60].abs().mean() < 0.5 * (both - right)[..., :60].abs().mean()
    assert (both - right)[..., -60:].abs().mean() < 0.5 * (both - left)[..., -60:].abs().mean()


def test_masks_share_out_every_pixel_at_every_scale(net: ConditionalTransformer) -> None:
    soft = 0.4 * torch.rand(1, 2, 42, 54)
    masks = shares(net, net.framed(soft, "replicate"))
    assert sorted(masks) == [11 * 14, 22 * 28, 44 * 56]
    for share in masks.values():
        assert torch.allclose(share.sum(0), torch.ones(share.shape[1]))


def test_a_clip_in_pieces_is_the_clip_in_one(collection: Collection) -> None:
    frames = [picture(seed=k) for k in range(4)]
    masks = LayerMasks(halves(40, 56), ("car", "background"))

    def run(pieces: list[list[Tensor]]) -> list[Tensor]:
        carry, out = None, []
        for piece in pieces:
            paint = stylizer(collection, "car=a", "background=b")
            for rgb in piece:
                painted, carry = paint(rgb, masks, carry)
                out.append(painted)
        return out

    for one, two in zip(run([frames]), run([frames[:1], frames[1:]]), strict=True):
        assert torch.equal(one, two)


def test_the_scene_keeps_its_statistics(collection: Collection) -> None:
    paint = stylizer(collection, "a")
    _, carry = paint(picture(seed=1), None)
    after, _ = paint(picture(seed=2), None, carry)
    fresh, _ = paint(picture(seed=2), None)
    assert not torch.equal(after, fresh)


def test_mixes_interpolate_scales_and_shifts(collection: Collection, net: ConditionalTransformer) -> None:
    rgb = picture()
    mixed, _ = stylizer(collection, "a*3+b")(rgb, None)
    assert torch.allclose(mixed, net(rgb, torch.tensor([[0.75, 0.25, 0.0]])).clamp(0, 1), atol=1e-2)


def test_strength_leans_on_the_identity_and_fades(collection: Collection, net: ConditionalTransformer) -> None:
    rgb = picture()
    half = stylizer(collection, "a@0.5")
    assert half.amounts == (0.75,)
    painted, _ = half(rgb, None)
    assert torch.allclose(painted, net(rgb, torch.tensor([[0.5, 0.0, 0.5]])).clamp(0, 1), atol=1e-2)
    assert stylizer(collection, "a@0.15").amounts == (pytest.approx(1 - 0.85**2),)
    assert stylizer(collection, "a@0").amounts == (0.0,)


def test_fades_over_time(collection: Collection) -> None:
    fading = stylizer(collection, "1:a,3:b")
    rgb = picture()
    for seconds, plan in ((0.0, "a"), (1.0, "a"), (1.5, "a*3+b"), (3.0, "b"), (9.0, "b")):
        assert torch.equal(fading(rgb, None, None, seconds)[0], stylizer(collection, plan)(rgb, None)[0])


def test_a_network_of_one_style_beside_a_collection(collection: Collection) -> None:
    single = TransformerNetwork(4, 1).eval()
    plan = parse_plan(["car=a", "person=c", "background=b*0.5+c*0.5"])
    styles = {"a": InCollection(collection, "a"), "b": InCollection(collection, "b"), "c": single}
    paint = PlanStylizer(plan, styles, CPU)
    soft = F.one_hot(torch.arange(56).expand(40, -1) * 3 // 56, 3).permute(2, 0, 1)[None].float()
    rgb = picture()
    painted, _ = paint(rgb, LayerMasks(soft, plan.layers))
    close = 1e-3 if paint.dtype == torch.float32 else 1e-2  # half precision where the machine computes it
    assert torch.allclose(painted[..., 20:36], single(rgb).clamp(0, 1)[..., 20:36], atol=close)
    assert paint.amounts == (1.0, 1.0, 1.0)


def test_styles_of_a_collection_load_by_path_and_name(collection: Collection) -> None:
    style = load_style(f"{collection.path}:a")
    assert (style.name, style.metadata["title"]) == ("a", "Painter, First, 1900")
    rgb = picture()
    assert torch.allclose(style.net(rgb), collection.net(rgb, torch.eye(3)[:1]), atol=1e-5)
    with pytest.raises(WeightsError, match="It has: a, b"):
        load_style(str(collection.path))
    with pytest.raises(WeightsError, match="It has: a, b"):
        load_style(f"{collection.path}:c")
    with pytest.raises(WeightsError, match="does not exist"):
        load_style(f"{collection.path}x:a")


def test_collections_of_the_user_have_names(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path))
    narrow = ConditionalTransformer(2, width=4, blocks=1)
    write_collection(tmp_path / "narrow.safetensors", narrow, [Member("a")], {})
    assert known_styles()["a"].width == 6
    assert known_styles(fast=True)["a"].width == 4
    assert known_styles(fast=True)["b"].width == 6
    assert load_style("b").member is not None


def test_broken_collections_are_named(collection: Collection, tmp_path: Path) -> None:
    tensors = collection.net.state_dict()
    odd = {**tensors, "conv2.conv.weight": torch.zeros(12, 6, 4, 4)}
    write_tensors(tmp_path / "broken.safetensors", odd, {"format": "segnst-collection", "styles": '[{"name": "a"}]'})
    with pytest.raises(WeightsError, match="odd side"):
        load_collection(tmp_path / "broken.safetensors")
    for metadata in ({"format": "segnst-collection"}, {"format": "segnst-collection", "styles": '[{"x": 1}]'}):
        write_tensors(tmp_path / "broken.safetensors", tensors, metadata)
        with pytest.raises(WeightsError, match=r"broken\.safetensors"):
            load_collection(tmp_path / "broken.safetensors")
    names = json.dumps([{"name": str(k)} for k in range(7)])
    write_tensors(tmp_path / "broken.safetensors", tensors, {"format": "segnst-collection", "styles": names})
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_collection(tmp_path / "broken.safetensors")


def test_the_bundled_light_network_has_the_same_styles_and_paints_alike() -> None:
    wide, light = load_style("starry_night"), load_style("starry_night", fast=True)
    assert light.path != wide.path
    assert wide.member is not None
    assert light.member is not None
    assert light.member.collection.names == wide.member.collection.names
    assert light.member.collection.net.width < wide.member.collection.net.width
    rgb = picture(96, 128)
    painted, lightly = (s.net(rgb).clamp(0, 1) for s in (wide, light))
    assert (painted - lightly).square().mean() < 0.5 * (painted - rgb).square().mean()
