from itertools import pairwise

import pytest
import torch

from segnst.errors import UsageError
from segnst.stabilize.masks import Edge, draw_edges, merge_regions, smooth, steady_masks
from segnst.types import Motion, Region
from tests.clips import texture


def _still(height: int, width: int, reliable: float = 1.0) -> Motion:
    return Motion(torch.zeros(1, 2, height, width), torch.full((1, 1, height, width), reliable))


def test_regions_merge_into_layers_and_the_rest_is_background() -> None:
    p = torch.rand(2, 4, 3, 5).softmax(1)
    soft = merge_regions(p, [(Region(1, "car"), Region(2, "bus"))])
    assert torch.allclose(soft[:, 0], p[:, 1] + p[:, 2])
    assert torch.allclose(soft.sum(1), torch.ones(2, 3, 5))


def test_smoothing_calms_flicker_where_flow_is_reliable() -> None:
    generator = torch.Generator().manual_seed(0)
    noisy = [0.5 + 0.3 * torch.randn(1, 2, 12, 16, generator=generator) for _ in range(12)]
    carry, steps = None, []
    for soft in noisy:
        last, carry = carry, smooth(soft, carry, _still(48, 64), 0.8)
        if last is not None:
            steps.append((carry - last).abs().mean())
    raw = torch.stack([(a - b).abs().mean() for a, b in pairwise(noisy)]).mean()
    assert torch.stack(steps[3:]).mean() < 0.4 * raw
    assert torch.equal(smooth(noisy[1], noisy[0], _still(48, 64, 0.0), 0.8), noisy[1])
    assert torch.equal(smooth(noisy[1], noisy[0], None, 0.8), noisy[1]), "after a cut nothing is kept"


def test_smoothing_follows_the_motion() -> None:
    soft = torch.zeros(1, 2, 12, 16)
    soft[:, 0, :, :8], soft[:, 1, :, 8:] = 1, 1
    flow = torch.zeros(1, 2, 48, 64)
    flow[:, 0] = -8  # everything came from 8 px further left, two mask pixels
    moved = smooth(torch.full((1, 2, 12, 16), 0.5), soft, Motion(flow, torch.ones(1, 1, 48, 64)), 1.0)
    assert moved[0, 0, 6, 9] == 1
    assert moved[0, 0, 6, 11] == 0


@pytest.mark.parametrize("edge", ["matte", "guided", "feather:6", "hard", "threshold:0.7"])
def test_every_edge_gives_masks_that_sum_to_one(edge: str) -> None:
    soft = torch.rand(1, 3, 23, 40, generator=torch.Generator().manual_seed(1)).softmax(1)
    full = draw_edges(soft, texture(90, 160)[None], Edge.parse(edge))
    assert full.shape == (1, 3, 90, 160)
    assert torch.allclose(full.sum(1), torch.ones(1, 90, 160), atol=1e-4)
    assert full.min() >= 0


def _step(at: float = 0.5) -> torch.Tensor:
    left = torch.linspace(1, 0, 33).view(1, 1, 1, 33).expand(1, 1, 17, 33) * 2 * at
    left = left.clamp(0, 1)
    return torch.cat((left, 1 - left), 1)


def test_guided_borders_follow_the_frame() -> None:
    rgb = torch.zeros(1, 3, 64, 128)
    rgb[..., 70:] = 0.9  # the true edge of the object, 6 px to the right of the mask's
    full = draw_edges(_step(), rgb, Edge.parse("guided"))[0, 0, 32]
    soft = torch.nn.functional.interpolate(_step(), (64, 128), mode="bilinear", align_corners=True)[0, 0, 32]
    assert (full[69] - full[70]) > 5 * (soft[69] - soft[70])


def test_feather_is_as_wide_as_asked() -> None:
    rgb = torch.rand(1, 3, 64, 128)
    ramp = draw_edges(_step(), rgb, Edge.parse("feather:12"))[0, 0, 32]
    assert 8 <= int(((ramp > 0.02) & (ramp < 0.98)).sum()) <= 26
    hard = draw_edges(_step(), rgb, Edge.parse("hard"))[0, 0, 32]
    assert set(hard.tolist()) == {0.0, 1.0}


def test_a_higher_threshold_is_tighter() -> None:
    rgb = torch.rand(1, 3, 64, 128)
    areas = [draw_edges(_step(), rgb, Edge.parse(f"threshold:{x}"))[0, 0].sum().item() for x in (0.3, 0.5, 0.8)]
    assert areas[0] > areas[1] > areas[2]


@pytest.mark.parametrize(
    "text", ["soft", "feather", "feather:x", "feather:-2", "threshold:1.5", "hard:3", "threshold:nan"]
)
def test_wrong_edges_are_named(text: str) -> None:
    with pytest.raises(UsageError, match="edge"):
        Edge.parse(text)


def test_masks_are_steadied_where_they_are_seen_and_where_they_are_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    rgb = texture(64, 96)[None]
    seen = [torch.rand(1, 1, 16, 24, generator=generator) * 0.4 + _step()[:, :1, :16, :24] * 0.6 for _ in range(12)]
    jumps: dict[str, list[float]] = {"raw": [], "steady": []}
    carry, before = None, {}
    for first in seen:
        soft = torch.cat((first, 1 - first), 1)
        drawn, carry = steady_masks(soft, rgb, Edge(), _still(64, 96), carry)
        assert torch.allclose(drawn.sum(1), torch.ones(1, 64, 96), atol=1e-5)
        for name, mask in (("raw", draw_edges(soft, rgb, Edge())), ("steady", drawn)):
            if name in before:
                jumps[name].append(float((mask - before[name]).abs().mean()))
            before[name] = mask
    assert sum(jumps["steady"][4:]) < 0.1 * sum(jumps["raw"][4:])


def test_hard_masks_stay_hard() -> None:
    carry = None
    for k in range(3):
        soft = _step().roll(k, -1)
        drawn, carry = steady_masks(soft, texture(64, 96)[None], Edge.parse("hard"), _still(64, 96), carry)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
