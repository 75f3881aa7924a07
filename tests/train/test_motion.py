"""Synthetic video: motion, shimmer, glints, compression."""

from __future__ import annotations

import torch

from segnst.flow.warp import inside
from segnst.train.motion import compressed, glints, motion_term, next_frame, shimmer, synthetic_flow
from tests.clips import texture


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_compression_leaves_pictures_nearly_as_they_were() -> None:
    rgb = torch.stack([texture(48, 64, k).float() for k in range(2)])
    good, bad = compressed(rgb, 95), compressed(rgb, 20)
    assert good.shape == rgb.shape
    errors = [float((x - rgb).square().mean()) for x in (good, bad)]
    assert 0 < errors[0] < errors[1] < 0.02
    red = torch.zeros(1, 3, 16, 16)
    red[:, 0] = 1
    assert float((compressed(red, 90) - red).abs().max()) < 0.02, "channels stay in their order"


def test_synthetic_motion_is_small_and_smooth() -> None:
    flow = synthetic_flow(8, 64, seeded())
    assert flow.abs().max() < 40
    assert (flow[..., 1:] - flow[..., :-1]).abs().max() < 2.5
    assert inside(flow).mean() > 0.6


def test_shimmer_is_less_than_a_pixel_and_coarser_than_noise() -> None:
    beside = shimmer(16, 96, seeded())
    assert beside.shape == (16, 2, 96, 96)
    deviation = beside.square().mean((1, 2, 3)).sqrt()
    assert 0.05 < deviation.mean() < 0.6 and deviation.max() < 1
    # leaves and spokes are larger than pixels: neighbors go the same way, places far apart do not
    near = (beside[..., 1:] * beside[..., :-1]).mean() / beside.square().mean()
    far = (beside[..., 20:] * beside[..., :-20]).mean() / beside.square().mean()
    assert near > 0.2 and abs(far) < 0.1


def test_glints_change_light_by_little_and_smoothly() -> None:
    light = glints(16, 96, seeded())
    assert light.shape == (16, 1, 96, 96)
    assert light.min() > 0.8 and light.max() < 1.25
    assert light.flatten(1).std(1).min() > 0, "glints differ from place to place"
    assert (light[..., 1:] - light[..., :-1]).abs().max() < 0.05


def test_a_next_frame_is_the_photo_moved_and_little_else() -> None:
    photos = torch.stack([texture(96, 96, k).float() for k in range(2)])
    still = torch.zeros(2, 2, 96, 96)
    moved = next_frame(photos, still, seeded(3))
    assert moved.min() >= 0 and moved.max() <= 1
    assert 0 < float((moved - photos).square().mean()) < 0.02
    assert torch.equal(moved, next_frame(photos, still, seeded(3)))
    assert not torch.equal(moved, next_frame(photos, still, seeded(4)))
    pan = still.clone()
    pan[:, 0] = 8  # backward flow: each pixel comes from 8 px further right
    there = next_frame(photos, pan, seeded(3))
    assert float((there[..., :-8] - photos[..., 8:]).square().mean()) < 0.02


def test_the_motion_term_is_nought_only_for_what_moves_along() -> None:
    photos = torch.stack([texture(96, 96, k).float() for k in range(4)])
    code = torch.ones(4, 1)

    def gray(rgb: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.full_like(rgb, 0.5)

    def fixed(rgb: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return texture(96, 96, 9).float().expand_as(rgb)

    def same(rgb: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return rgb

    def term(paint) -> torch.Tensor:  # type: ignore[no-untyped-def]
        return motion_term(paint, photos, paint(photos, code), code, seeded(1))

    assert term(gray).shape == (4,)
    assert float(term(gray).max()) < 1e-9
    assert float(term(same).mean()) < 0.5 * float(term(fixed).mean())
