from itertools import pairwise

import torch

from segnst.stabilize.cuts import CutCarry, is_cut
from segnst.stabilize.output import BlendStabilizer, PaintCarry, restore_detail
from segnst.types import Motion
from tests.clips import panning, texture


def _sharpness(x: torch.Tensor) -> float:
    return float((x - torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)).square().mean())


def _pan(step: float, height: int, width: int) -> Motion:
    flow = torch.zeros(1, 2, height, width)
    flow[:, 0] = step
    return Motion(flow, torch.ones(1, 1, height, width))


def _past(steady: torch.Tensor, frames: float = 100) -> PaintCarry:
    return PaintCarry(steady, torch.full_like(steady[:, :1, ::2, ::2], frames))


def test_flicker_goes_and_sharpness_stays() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = panning(20, 64, 96, step=2)
    painted = (frames + 0.08 * torch.randn(20, 1, 64, 96, generator=generator)).clamp(0, 1)
    stabilizer, carry, steady = BlendStabilizer(), None, []
    for k, frame in enumerate(painted.split(1)):
        out, carry = stabilizer(frame, _pan(2, 64, 96) if k else None, carry)
        steady.append(out)
    inner = (..., slice(8, -8), slice(8, -48))

    def error(x: torch.Tensor) -> float:
        moved = [(b[..., :-2] - a[..., 2:])[inner].square().mean() for a, b in pairwise(x[8:])]
        return float(torch.stack(moved).mean())

    result = torch.cat(steady)
    assert error(result) < 0.25 * error(painted)
    assert _sharpness(result[-1][inner]) > 0.6 * _sharpness(frames[-1][inner])


def test_after_a_cut_the_paint_is_as_painted() -> None:
    frame = texture(32, 32)[None]
    out, _ = BlendStabilizer()(frame, None, _past(torch.zeros_like(frame)))
    assert torch.equal(out, frame)


def test_unreliable_pixels_are_as_painted() -> None:
    frame = texture(32, 32)[None]
    motion = Motion(torch.zeros(1, 2, 32, 32), torch.zeros(1, 1, 32, 32))
    out, _ = BlendStabilizer()(frame, motion, _past(torch.zeros_like(frame)))
    assert torch.equal(out, frame)


def test_what_was_just_uncovered_is_held_less() -> None:
    shape = (1, 3, 37, 64)  # an odd height: half of it is 19
    flow, reliable = torch.zeros(1, 2, *shape[2:]), torch.ones(1, 1, *shape[2:])
    uncovered = reliable.clone()
    uncovered[..., :32] = 0
    stabilizer = BlendStabilizer()
    _, carry = stabilizer(torch.zeros(shape), None, None)
    _, carry = stabilizer(torch.ones(shape), Motion(flow, uncovered), carry)
    out, carry = stabilizer(torch.zeros(shape), Motion(flow, reliable), carry)
    # a running mean: of two frames on the left, of three on the right
    assert torch.allclose(out[..., :24], torch.tensor(1 / 2), atol=1e-5)
    assert torch.allclose(out[..., 40:], torch.tensor(1 / 3), atol=1e-5)
    for _ in range(10):
        out, carry = stabilizer(torch.zeros(shape), Motion(flow, reliable), carry)
    out, _ = stabilizer(torch.ones(shape), Motion(flow, reliable), carry)
    most = 1 - stabilizer.stability * (1 - carry.steady)
    for part in (slice(0, 24), slice(40, 64)):  # away from the border, where restored contrast differs
        assert torch.allclose(out[..., part], most[..., part], atol=1e-5), "no more than stability"


def test_restoring_detail_never_invents_it() -> None:
    flat = torch.full((1, 3, 40, 40), 0.5)
    assert torch.allclose(restore_detail(flat, texture(40, 40)[None], ((1, 1.4), (1, 1.4))), flat, atol=1e-5)


def test_cuts_are_found_and_pans_are_not() -> None:
    pan = panning(12, 72, 128, step=1, seed=1)
    other = panning(6, 72, 128, step=1, seed=9)
    carry: CutCarry | None = None
    found = []
    for k, frame in enumerate(torch.cat((pan, other)).split(1)):
        cut, carry = is_cut(frame, carry)
        if cut:
            found.append(k)
    assert found == [12]


def test_a_change_of_brightness_is_no_cut() -> None:
    frames = panning(10, 72, 128, step=1)
    frames[5:] *= 0.6
    carry = None
    for frame in frames.split(1):
        cut, carry = is_cut(frame, carry)
        assert not cut
