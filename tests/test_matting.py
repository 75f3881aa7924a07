import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.matting import refine, separate
from segnst.pipeline import compose
from segnst.stabilize.masks import Edge, draw_edges
from segnst.types import LayerMasks
from tests.clips import texture

SIZE = (144, 192)


def _subject() -> Tensor:
    """Exact alpha [1,1,H,W] of a ball with hairs and a blurred edge on one side: drawn at four times the size."""
    big = np.zeros((SIZE[0] * 4, SIZE[1] * 4), np.uint8)
    cv2.circle(big, (380, 300), 150, 255, -1)
    rng = np.random.default_rng(3)
    for angle in np.linspace(-1.2, 1.2, 40):
        length = 170 + 40 * rng.random()
        end = (int(380 + length * np.cos(angle)), int(300 + length * np.sin(angle)))
        cv2.line(big, (380, 300), end, 255, 3)
    blurred = cv2.blur(big, (41, 1))
    big[:, :380] = blurred[:, :380]
    return F.avg_pool2d(torch.from_numpy(big).float()[None, None] / 255, 4)


def _scene() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Frame, exact alpha, and the colors of the subject and of what is behind it."""
    alpha = _subject()
    front = (0.25 * texture(*SIZE, seed=2) + torch.tensor([0.65, 0.2, 0.05]).view(3, 1, 1))[None]
    back = (0.25 * texture(*SIZE, seed=7) + torch.tensor([0.1, 0.3, 0.6]).view(3, 1, 1))[None]
    return alpha * front + (1 - alpha) * back, alpha, front, back


def _coarse(alpha: Tensor, shift: int = 0) -> Tensor:
    """What a segmenter that works at a sixth of the size would say, some pixels off."""
    small = F.interpolate(alpha.roll(shift, -1), (25, 33), mode="area")
    return F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1)


@pytest.mark.parametrize("shift", [0, 4])
def test_a_matte_finds_the_fractions_that_a_guided_edge_misses(shift: int) -> None:
    rgb, alpha, _, _ = _scene()
    coarse = _coarse(alpha, shift)
    soft = torch.cat((coarse, 1 - coarse), 1)
    off = {kind: (draw_edges(soft, rgb, Edge(kind))[:, :1] - alpha).abs() for kind in ("guided", "matte")}
    shared = (alpha > 0.1) & (alpha < 0.9)
    assert off["matte"][shared].mean() < 0.65 * off["guided"][shared].mean()
    assert off["matte"].mean() < (1.1 if shift == 0 else 1.0) * off["guided"].mean()


def test_away_from_its_border_a_matte_is_exactly_the_mask() -> None:
    rgb, alpha, _, _ = _scene()
    found = refine(_coarse(alpha), rgb)
    assert torch.equal(found[..., 66:84, 86:104], torch.ones(1, 1, 18, 18))
    assert torch.equal(found[..., :20, :20], torch.zeros(1, 1, 20, 20))
    nothing = refine(torch.zeros(1, 1, 25, 33), rgb)
    assert torch.equal(nothing, torch.zeros(1, 1, *SIZE))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 40), (45, 67)])
def test_frames_of_any_size_get_a_matte(size: tuple[int, int]) -> None:
    soft = torch.rand(1, 3, 5, 9, generator=torch.Generator().manual_seed(0)).softmax(1)
    full = draw_edges(soft, texture(*size)[None], Edge("matte"))
    assert full.shape == (1, 3, *size)
    assert torch.isfinite(full).all()


def test_the_color_of_the_subject_is_found_where_it_is_mixed() -> None:
    rgb, alpha, front, back = _scene()
    shared = (alpha > 0.05) & (alpha < 0.95)

    def off(color: Tensor, true: Tensor, share: Tensor) -> float:
        return float(((color - true).abs() * share * shared).sum())

    assert off(separate(rgb, alpha), front, alpha) < 0.35 * off(rgb, front, alpha)
    assert off(separate(rgb, 1 - alpha), back, 1 - alpha) < 0.35 * off(rgb, back, 1 - alpha)


@pytest.mark.parametrize("amounts", [(0.0, 1.0), (1.0, 0.0), (0.3, 1.0)])
def test_composing_with_own_colors_carries_no_color_of_the_other_side(amounts: tuple[float, float]) -> None:
    rgb, alpha, front, back = _scene()
    paint = torch.zeros_like(rgb)
    paint[:, 1] = 1
    masks = LayerMasks(torch.cat((alpha, 1 - alpha), 1), ("person", "background"))
    wanted = sum(
        share * (amount * paint + (1 - amount) * color)
        for share, amount, color in ((alpha, amounts[0], front), (1 - alpha, amounts[1], back))
    )
    plain, own = compose(rgb, paint, masks, amounts), compose(rgb, paint, masks, amounts, own_colors=True)
    assert (own - wanted).abs().mean() < 0.35 * (plain - wanted).abs().mean()
    whole = (alpha == 0) | (alpha == 1)
    assert torch.equal((own * whole), (plain * whole)), "away from the border nothing changes"


def test_equal_amounts_and_one_layer_need_no_color() -> None:
    rgb, alpha, _, _ = _scene()
    masks = LayerMasks(torch.cat((alpha, 1 - alpha), 1), ("person", "background"))
    for amounts in ((1.0, 1.0), (0.0, 0.0)):
        args = (rgb, 1 - rgb, masks, amounts)
        assert torch.equal(compose(*args, own_colors=True), compose(*args))
    assert torch.equal(compose(rgb, 1 - rgb, None, [0.5], own_colors=True), compose(rgb, 1 - rgb, None, [0.5]))
