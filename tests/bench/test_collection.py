"""The benchmark of collections: artifacts are counted, losses are told for each network, every figure is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from segnst.bench.artifacts import bubbles, grid, plain_pictures
from segnst.bench.collection import Alone, Judge, Picture, markdown, measure
from segnst.perceptual.encoders import load_encoder
from segnst.perceptual.spots import spots
from segnst.perceptual.style_loss import lattice
from segnst.style.collection import Member, load_collection, write_collection
from segnst.style.conditional import to_single
from tests.clips import texture
from tests.style.make import random_net


def strokes(side: int = 256) -> Tensor:
    """An even texture of strokes of about 6 px, [1,3,side,side]."""
    noise = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(2))
    smooth = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)
    return (0.5 + smooth - smooth.mean()).expand(-1, 3, -1, -1)


def with_grid(rgb: Tensor, strength: float) -> Tensor:
    lines = (torch.arange(rgb.shape[-1]) % 4 == 1).float()
    return rgb + strength * (lines[:, None] * lines[None])


def test_a_spot_that_stands_out_is_a_bubble() -> None:
    plain = torch.full((1, 3, 256, 256), 0.5)
    painted = strokes()
    assert bubbles(plain, painted) == 0
    painted = painted.clone()
    painted[..., 100:112, 60:72] += 0.4
    painted[..., 160:172, 180:192] += 0.4
    assert bubbles(plain, painted) == 2
    assert bubbles(texture(256, 256)[None].float(), painted) == 0, "only plain parts of the source count"
    glint = plain.clone()
    glint[..., 120:128, 120:128] += 0.3
    assert bubbles(glint, painted + (glint - plain)) == 2, "a highlight that is painted as one is no bubble"


def test_training_pushes_down_what_stands_out_and_nothing_else() -> None:
    plain, even = torch.full((1, 3, 256, 256), 0.5), strokes()
    spotted = even.clone()
    spotted[..., 100:112, 60:72] += 0.4
    pictures = torch.cat((even, spotted)).requires_grad_()
    loss = spots(plain.expand(2, -1, -1, -1), pictures)
    loss.sum().backward()
    assert loss[0] < 0.01 * loss[1]
    pushed = pictures.grad
    assert pushed is not None
    assert pushed[1, :, 100:112, 60:72].mean() > 20 * pushed[1, :, 150:, 150:].abs().mean()
    assert spots(texture(256, 256)[None].float(), spotted) == 0, "only plain parts of the source count"


def test_a_grid_shows_in_the_spectrum_and_in_the_lattice_loss() -> None:
    even, gridded = strokes(), with_grid(strokes(), 0.1)
    assert grid(even) < 10 < 15 < grid(gridded)
    assert float(lattice(gridded)) > 20 * float(lattice(even))


def test_plain_pictures_are_plain() -> None:
    for name, rgb in plain_pictures(96):
        assert rgb.shape == (1, 3, 96, 96), name
        assert rgb.min() >= 0
        assert rgb.max() <= 1


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict:  # type: ignore[type-arg]
    net = random_net(5, 4, blocks=1, identity=True)
    path: Path = tmp_path_factory.mktemp("bench") / "mine.safetensors"
    write_collection(path, net, [Member(name) for name in "abcd"], {})
    collection = load_collection(path)
    rgb = texture(64, 96)[None].float().clamp(0, 1)
    soft = torch.zeros(1, 2, 64, 96)
    soft[:, 0, :, :48], soft[:, 1, :, 48:] = 1, 1
    judge = Judge(
        load_encoder("small", offline=True), {n: texture(64, 64, k)[None].float() for k, n in enumerate("abcd")}
    )
    same = to_single(collection.net, collection.code({"a": 1.0}))
    singles = [Alone("a", "same", same), Alone("a", "other", to_single(collection.net, collection.code({"b": 1.0})))]
    return measure(collection, judge, singles, [Picture("one", rgb, soft)], [("a", "b")])


def test_a_network_alone_that_is_the_same_has_the_same_losses(report: dict) -> None:  # type: ignore[type-arg]
    row = report["styles"]["a"]
    assert row["alone"]["same"]["ratio"] == pytest.approx(
        dict.fromkeys(("content", "structure", "style", "strokes"), 1.0), rel=1e-3
    )
    assert row["alone"]["other"]["ratio"]["style"] != pytest.approx(1.0, rel=1e-3)
    assert report["styles"]["b"]["alone"] == {}


def test_strength_begins_with_the_photo(report: dict) -> None:  # type: ignore[type-arg]
    assert all(values[0] == 0 and len(values) == 5 for values in report["strength"].values())


def test_the_report_is_a_table(report: dict) -> None:  # type: ignore[type-arg]
    text = markdown(report)
    assert "| a | other | " in text
    assert text.count("\n| a | ") == 3, "itself, and two networks alone"
    assert "- car: content" in text
    assert "(ratio " in text
