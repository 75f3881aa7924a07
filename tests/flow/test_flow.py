import pytest
import torch
from kornia.geometry.transform import remap

from segnst.flow.base import consistency, estimate_motion, motion_boundary
from segnst.flow.dis import DisFlow
from segnst.flow.warp import inside, warp
from tests.clips import panning, texture


def test_warp_agrees_with_kornia() -> None:
    image = texture(24, 32)[None]
    flow = 3 * torch.randn(1, 2, 24, 32, generator=torch.Generator().manual_seed(0))
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    want = remap(image, x[None] + flow[:, 0], y[None] + flow[:, 1], padding_mode="border", align_corners=True)
    assert torch.allclose(warp(image, flow), want, atol=1e-4)


def test_warp_by_whole_pixels_is_exact() -> None:
    frames = panning(2, step=3)
    flow = torch.zeros(1, 2, 48, 64)
    flow[:, 0] = 3
    for mode in ("bilinear", "bicubic", "nearest"):
        moved = warp(frames[:1], flow, mode)
        assert torch.allclose(moved[..., 2:-5], frames[1:, ..., 2:-5], atol=1e-3), mode


def test_inside_marks_what_comes_from_outside() -> None:
    flow = torch.zeros(1, 2, 4, 6)
    flow[:, 0] = 2
    assert inside(flow)[0, 0, 0].tolist() == [1, 1, 1, 1, 0, 0]


def test_dis_finds_a_pan_and_trusts_it() -> None:
    frames = panning(2, 96, 128, step=4)
    motion = estimate_motion(DisFlow(), frames[1:], frames[:1])
    core = motion.flow[0, :, 16:-16, 16:-24]
    assert core[0].mean().item() == pytest.approx(4, abs=0.3)
    assert core[1].abs().mean().item() < 0.3
    assert motion.reliable[..., 16:-16, 16:-24].mean() > 0.9
    assert motion.reliable[..., -3:].mean() < 0.5, "what came into view is not in the last frame"


def test_what_was_covered_is_unreliable() -> None:
    back, front = texture(96, 128, 1), texture(40, 32, 2)
    frames = []
    for x in (30, 50):
        frame = back.clone()
        frame[:, 30:70, x : x + 32] = front
        frames.append(frame[None])
    motion = estimate_motion(DisFlow(), frames[1], frames[0])
    uncovered = motion.reliable[..., 34:66, 32:46].mean()
    still = motion.reliable[..., 4:20, 4:120].mean()
    assert uncovered < 0.3 < 0.9 < still


def test_consistency_and_boundary() -> None:
    flow = torch.zeros(1, 2, 16, 16)
    flow[:, 0, :, 8:] = 5
    assert consistency(torch.full((1, 2, 16, 16), 2.0), torch.full((1, 2, 16, 16), -2.0)).all()
    assert not consistency(torch.full((1, 2, 16, 16), 2.0), torch.full((1, 2, 16, 16), 2.0)).any()
    edge = motion_boundary(flow)[0, 0]
    assert edge[:, 7].all()
    assert edge.sum() == 16


def test_dis_gives_frames_too_small_no_flow() -> None:
    assert DisFlow()(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)).abs().sum() == 0
