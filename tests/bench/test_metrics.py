"""Figures of sequences for which they can be worked out by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.bench.measure import LONG, Chain, Pair
from segnst.bench.meters import MaskMeter, Meter, Step, figures, layer_regions
from segnst.bench.metrics import edge_band, excess
from tests.bench.make import pair, shift
from tests.clips import panning, texture

SIZE = (48, 64)
STILL = pair(shift(0, *SIZE))


def measured(source: Tensor, single: Tensor, output: Tensor, flow: Pair = STILL, **more: object) -> dict[str, float]:
    """Figures of ``output``, given the source and per-frame styling, [T,3,H,W] each."""
    meters = {"source": Meter(), "per-frame": Meter(), "ours": Meter()}
    chain = Chain()
    for k in range(len(output)):
        if k:
            chain.add(flow)
        step = Step(
            single[k : k + 1], k == 0, pair=flow if k else None, long=chain.long(), ghosts=chain.ghosts(), **more
        )  # type: ignore[arg-type]
        for meter, frames in zip(meters.values(), (source, single, output), strict=True):
            meter.add(frames[k : k + 1], step)
    return {k: v for k, v in figures("ours", meters).items() if v is not None}


def flickering(frames: Tensor, amount: float) -> Tensor:
    sign = torch.tensor([1.0, -1.0]).repeat(len(frames))[: len(frames)].view(-1, 1, 1, 1)
    return frames + amount * sign


def test_a_picture_that_only_moves_has_no_error() -> None:
    moving = panning(LONG + 3, *SIZE, step=2)
    found = measured(moving, flickering(moving, 0.1), moving, pair(shift(2, *SIZE)))
    assert found["e_warp"] == pytest.approx(0, abs=1e-9)
    assert found["long_range"] == pytest.approx(0, abs=1e-9)
    assert found["excess"] == pytest.approx(0, abs=1e-6)
    assert found["e_stab"] == pytest.approx(0, abs=1e-4)


def test_a_known_flicker_has_the_known_error() -> None:
    still = (0.25 + 0.5 * texture(*SIZE)).expand(6, -1, -1, -1)
    found = measured(still, flickering(still, 0.1), flickering(still, 0.05))
    assert found["e_warp"] == pytest.approx(3 * 0.1**2, rel=1e-4)  # channels are summed
    assert found["ruder"] == pytest.approx(0.1**2, rel=1e-4)
    assert found["e_stab"] == pytest.approx(0.1, rel=1e-4)
    assert found["excess"] == pytest.approx(0.25, rel=1e-4)
    assert found["ratio"] == pytest.approx(0.25, rel=1e-4)
    assert found["pumping"] == pytest.approx(0.5, rel=1e-3)


def test_slow_drift_shows_in_the_long_range_only() -> None:
    still = (0.25 + 0.25 * texture(*SIZE)).expand(LONG + 4, -1, -1, -1)
    drift = still + 0.01 * torch.arange(len(still)).view(-1, 1, 1, 1)
    found = measured(still, flickering(still, 0.1), drift)
    assert found["e_warp"] == pytest.approx(3 * 0.01**2, rel=1e-3)
    assert found["long_range"] == pytest.approx(3 * (0.01 * LONG) ** 2, rel=1e-3)


def test_gray_is_perfectly_steady_and_keeps_nothing() -> None:
    still = texture(*SIZE).expand(4, -1, -1, -1)
    found = measured(still, flickering(still, 0.05), torch.full_like(still, 0.5))
    assert found["e_warp"] == 0
    assert found["excess"] <= 1e-6
    assert [found[f"sharp[{b}]"] for b in ("fine", "middle", "coarse")] == pytest.approx([0, 0, 0], abs=1e-5)
    assert found["sharpness"] == pytest.approx(0, abs=1e-8)


def test_bands_tell_contrast_and_blur_apart() -> None:
    still = (0.25 + 0.5 * texture(*SIZE)).expand(3, -1, -1, -1)
    half = measured(still, still, still.mean() + 0.5 * (still - still.mean()))
    assert [half[f"sharp[{b}]"] for b in ("fine", "middle", "coarse")] == pytest.approx([0.5] * 3, rel=1e-3)
    assert half["sharpness"] == pytest.approx(0.25, rel=1e-3)
    soft = measured(still, still, F.avg_pool2d(still, 3, 1, 1, count_include_pad=False))
    assert soft["sharp[fine]"] < 0.6 < soft["sharp[middle]"] < soft["sharp[coarse]"] < 1.02


def test_errors_inside_layers_are_told_apart() -> None:
    still = texture(*SIZE).expand(4, -1, -1, -1)
    left = torch.zeros(1, 1, *SIZE)
    left[..., :32] = 1
    regions = layer_regions(torch.cat((left, 1 - left), 1), ("car", "background"))
    flicker = still + (flickering(still, 0.1) - still) * left
    found = measured(still, flickering(still, 0.1), flicker, regions=regions)
    assert found["excess[car]"] == pytest.approx(1)
    assert found["excess[background]"] == pytest.approx(0, abs=1e-6)
    assert 0.4 < found["excess[edges]"] < 0.6
    assert regions["edges"].sum() == SIZE[0] * 16
    assert edge_band(torch.ones(1, 1, *SIZE)).sum() == 0


def test_ghosts_are_what_stays_behind_on_uncovered_pixels() -> None:
    """Six columns are uncovered in frame 2: they are recent in frames 2, 3 and 4, and no longer never occluded."""
    chain, masks = Chain(), []
    hidden = torch.zeros(1, 1, *SIZE)
    hidden[..., :6] = 1
    for k in range(1, 7):
        uncovered = hidden if k == 2 else torch.zeros_like(hidden)
        chain.add(Pair(shift(0, *SIZE), 1 - uncovered, uncovered))
        masks.append(chain.ghosts())
    recent = [float(m[0].sum()) for m in masks if m]
    assert recent == [0, 288, 288, 288, 0, 0]
    assert [float(m[1].sum()) for m in masks if m] == [3072, *[3072 - 288] * 5]

    painted = texture(*SIZE)[None]
    out = painted + 0.01 + 0.04 * hidden
    meter = Meter()
    for mask in masks[1:]:
        meter.add(out, Step(painted, False, ghosts=mask))
    assert meter.ghosts() == pytest.approx(0.05 / 0.01, rel=1e-3)
    same = Meter()
    same.add(painted, Step(painted, False, ghosts=masks[2]))
    assert same.ghosts() is None


def test_a_chain_composes_the_flow_and_ends_at_a_cut() -> None:
    chain = Chain()
    for _ in range(LONG):
        chain.add(pair(shift(2, *SIZE)))
    far = chain.long()
    assert far is not None
    assert far.flow[0, 0, 24, 10] == 2 * LONG
    # what was outside the frame at any step is not valid
    assert far.valid[0, 0, 24].tolist() == [1.0] * (64 - 2 * LONG) + [0.0] * (2 * LONG)
    chain.reset()
    assert chain.long() is None
    assert chain.ghosts() is None


def test_nothing_is_compared_over_a_cut_and_what_bleeds_is_told() -> None:
    one, other = texture(*SIZE)[None], texture(*SIZE, seed=5)[None]
    meter = Meter()
    meter.add(one, Step(one, True))
    meter.add(0.9 * other + 0.1 * one, Step(other, True, cut=True))
    meter.add(other, Step(other, False, pair=STILL))
    assert meter.series[:2] == [None, None]
    assert meter.series[2] is not None
    assert meter.bleed == [pytest.approx(float((0.1 * (other - one)).abs().max()), rel=1e-4)]
    assert len(meter.steps) == 1


def test_excess_says_nothing_where_the_ceiling_is_hardly_above_the_floor() -> None:
    assert excess(0.2, 0.3, 0.2) is None
    assert excess(0.2, 0.3, 0.32) is None
    assert excess(None, 0.1, 0.3) is None
    assert excess(0.2, 0.1, 0.3) == pytest.approx(0.5)


def test_masks_flicker_and_miss() -> None:
    left, less = torch.zeros(1, 1, *SIZE), torch.zeros(1, 1, *SIZE)
    left[..., :32], less[..., :16] = 1, 1
    meter = MaskMeter()
    for mask in (left, less, left):
        meter.add(mask, left, STILL)
    assert meter.figures() == {
        "mask_flicker": 0.5, "mask_flicker_nearest": 0.5, "mask_iou": pytest.approx(2.5 / 3)
    }  # fmt: skip
    empty = MaskMeter()
    for _ in range(2):
        empty.add(torch.zeros_like(left), torch.zeros_like(left), STILL)
    assert empty.figures() == {"mask_flicker": None, "mask_flicker_nearest": None, "mask_iou": None}


def test_a_soft_mask_that_moves_by_parts_of_a_pixel_does_not_flicker() -> None:
    x = torch.arange(SIZE[1]).float().expand(1, 1, *SIZE)
    meter = MaskMeter()
    for frame in range(6):
        meter.add(torch.sigmoid(20.3 - 0.4 * frame - x), None, pair(shift(0.4, *SIZE)))
    figures = meter.figures()
    assert figures["mask_flicker"] == 0
    nearest = figures["mask_flicker_nearest"]
    assert nearest is not None
    assert nearest > 0.01
