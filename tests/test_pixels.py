"""One rule for rounding, one for sizes, one for padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision

from segnst import pixels


def test_bytes_come_back_as_they_went() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    rgb = pixels.from_bytes(picture)
    assert rgb.shape == (3, 7, 5) and rgb.min() >= 0 and rgb.max() <= 1
    assert (pixels.to_bytes(rgb) == picture).all()
    assert torch.equal(pixels.from_bytes(picture[..., ::-1]), rgb.flip(0))
    assert (pixels.to_bytes(rgb[0]) == picture[..., 0]).all()


def test_tensors_and_arrays_round_alike() -> None:
    steps = torch.arange(-300, 1000, dtype=torch.float32) / 510  # every byte and every half between two of them
    values = torch.cat((steps, torch.rand(100_000), torch.tensor([-0.0, 1e-9, 1 - 1e-7, 1.0, 7.0, -3.0])))
    of_tensor = pixels.to_bytes(values[None])[0]
    of_array = pixels.quantized(values.numpy())
    assert of_array.dtype == np.uint8 and (of_tensor == of_array).all()


def test_deep_codes_and_what_is_no_number() -> None:
    codes = pixels.quantized(np.array([0.0, 0.5, 1.0, 2.0, np.nan, np.inf, -np.inf], np.float32), deep=True)
    assert codes.dtype == np.uint16
    assert codes.tolist() == [0, 32768, 65535, 65535, 0, 65535, 0]


def test_sizes() -> None:
    assert pixels.size_within((1080, 1920), 640) == (360, 640)
    assert pixels.size_within((90, 160), 640) == (90, 160)
    assert pixels.size_within((3, 4000), 400, 2) == (2, 400)
    assert pixels.scaled_size(torch.zeros(1, 3, 10, 20).shape[2:], 2.5) == (25, 50)


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (31, 19)])
def test_padding_reaches_the_next_multiple(size: tuple[int, int]) -> None:
    x = torch.rand(1, 3, *size)
    padded = pixels.pad_to_multiple(x, 4)
    assert all(side % 4 == 0 and side - old < 4 for side, old in zip(padded.shape[2:], size, strict=True))
    assert torch.equal(padded[..., : size[0], : size[1]], x)
    assert torch.equal(padded, F.pad(x, (0, -size[1] % 4, 0, -size[0] % 4), mode="reflect"))
    assert pixels.pad_to_multiple(x, 8, "replicate", least=128).shape[2:] == (128, 128)


def test_imagenet_scale_is_that_of_torchvision() -> None:
    rgb = torch.rand(2, 3, 4, 5)
    theirs = torchvision.transforms.functional.normalize(rgb, list(pixels.IMAGENET_MEAN), list(pixels.IMAGENET_STD))
    assert torch.allclose(pixels.by_imagenet(rgb), theirs, atol=1e-6)
