"""Statistics of a scene: measured when it begins, held while its look lasts."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from segnst.style.conditional import ConditionalTransformer
from segnst.style.layer_norm import measure
from segnst.style.scene import GLIDE, Scene, distance, look_of, paint_layers
from tests.clips import texture
from tests.style.make import random_net

HEIGHT, WIDTH = 48, 256
FAR = slice(0, 60)  # columns beyond the receptive field of what happens at the right


@pytest.fixture(scope="module")
def net() -> ConditionalTransformer:
    return random_net(3, 6, blocks=2, identity=True)


def picture(seed: int = 0) -> Tensor:
    return texture(HEIGHT, WIDTH, seed)[None].float().clamp(0, 1)


def halves() -> Tensor:
    soft = torch.zeros(1, 2, HEIGHT, WIDTH)
    soft[:, 0, :, : WIDTH // 2], soft[:, 1, :, WIDTH // 2 :] = 1, 1
    return soft


def entered(rgb: Tensor) -> Tensor:
    """The same frame with something flat and red at its right border."""
    rgb = rgb.clone()
    rgb[..., 212:] = torch.tensor([0.7, 0.3, 0.3]).view(1, 3, 1, 1)
    return rgb


@pytest.mark.parametrize("layered", [True, False])
def test_what_enters_leaves_the_rest_of_the_frame_alone(net: ConditionalTransformer, layered: bool) -> None:
    rgb, codes, soft = picture(), torch.eye(3)[: 1 + layered], halves() if layered else None
    before, scene = paint_layers(net, rgb, codes, soft)
    after, _ = paint_layers(net, entered(rgb), codes, soft, scene)
    fresh, _ = paint_layers(net, entered(rgb), codes, soft)
    assert torch.allclose(before[..., FAR], after[..., FAR], atol=1e-5)
    assert (before - fresh)[..., FAR].abs().mean() > 1e-3


def test_what_a_layer_holds_does_not_change_its_paint(net: ConditionalTransformer) -> None:
    rgb, codes, few = picture(), torch.eye(3)[:2], halves()
    few[:, 0, :, :100], few[:, 1, :, :100] = 0, 1
    narrow, _ = paint_layers(net, rgb, codes, few)
    wide, _ = paint_layers(net, rgb, codes, halves())
    assert torch.allclose(narrow[..., -60:], wide[..., -60:], atol=1e-5)


def test_each_layer_is_painted_as_its_style_paints_the_frame(net: ConditionalTransformer) -> None:
    rgb, codes = picture(), torch.eye(3)[:2]
    both, _ = paint_layers(net, rgb, codes, halves())
    left, right = (measure(net, rgb, code[None])[0] for code in codes)
    assert torch.allclose(both[..., :60], left[..., :60], atol=2e-3)
    assert torch.allclose(both[..., -60:], right[..., -60:], atol=2e-3)


def passed(net: ConditionalTransformer, frames: list[Tensor], scene: Scene | None = None) -> tuple[list[Tensor], Scene]:
    painted = []
    for rgb in frames:
        one, scene = paint_layers(net, rgb, torch.eye(3)[:1], None, scene)
        painted.append(one)
    assert scene is not None
    return painted, scene


def test_paint_follows_a_change_of_light_within_a_second(net: ConditionalTransformer) -> None:
    rgb = picture()
    dim = 0.75 * rgb
    assert 0.02 < distance(look_of(rgb), look_of(dim)) < 0.1
    painted, scene = passed(net, [rgb] + [dim] * (GLIDE + 1))
    fresh, _ = passed(net, [dim])
    away = [float((p - fresh[0]).abs().mean()) for p in painted[1:]]
    assert away[-1] < 1e-4 < away[0], "it arrives"
    assert all(one >= other for one, other in pairwise(away)), "it moves steadily"
    assert max(a - b for a, b in pairwise(away)) < 3 * away[0] / GLIDE, "without a jump"
    assert scene.steps == 0


def test_a_scene_that_begins_in_black_is_measured_again(net: ConditionalTransformer) -> None:
    painted, _ = passed(net, [torch.zeros(1, 3, HEIGHT, WIDTH), 0.1 * picture(), picture()])
    fresh, _ = passed(net, [picture()])
    assert torch.equal(painted[-1], fresh[0])


def test_a_style_that_fades_has_statistics_of_its_own(net: ConditionalTransformer) -> None:
    rgb, soft, codes = picture(), halves(), torch.eye(3)[:2]
    _, scene = paint_layers(net, rgb, codes, soft)
    swapped, _ = paint_layers(net, rgb, codes.flip(0), soft, scene)
    fresh, _ = paint_layers(net, rgb, codes.flip(0), soft)
    assert torch.equal(swapped, fresh)


def test_a_layer_that_appears_late_is_measured_then(net: ConditionalTransformer) -> None:
    rgb, codes, alone = picture(), torch.eye(3)[:2], torch.zeros(1, 2, HEIGHT, WIDTH)
    alone[:, 1] = 1
    _, scene = paint_layers(net, rgb, codes, alone)
    assert scene.known == (False, True)
    late, scene = paint_layers(net, rgb, codes, halves(), scene)
    fresh, _ = paint_layers(net, rgb, codes, halves())
    assert scene.known == (True, True)
    assert torch.equal(late, fresh)
