import pytest
import torch

from segnst.filters import box_mean, half, sample_cubic
from tests.clips import texture


@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("size", [3, 5])
def test_opencv_and_torch_take_the_same_mean(channels: int, size: int) -> None:
    x = torch.rand(2, channels, 21, 30, generator=torch.Generator().manual_seed(0))
    by_torch = box_mean(x.clone().requires_grad_(), size).detach()
    assert torch.allclose(box_mean(x, size), by_torch, atol=1e-5)


@pytest.mark.parametrize("size", [(20, 30), (21, 30), (20, 31), (1, 2)])
def test_opencv_and_torch_halve_alike(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    halved = half(x)
    assert halved.shape[-2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    assert torch.allclose(halved, half(x.clone().requires_grad_()).detach(), atol=1e-6)
    assert torch.allclose(halved[..., 0, 0], x[..., :2, :2].mean((2, 3)), atol=1e-6)


def test_opencv_and_torch_sample_alike() -> None:
    x = texture(40, 52)[None]
    generator = torch.Generator().manual_seed(1)
    y, across = torch.meshgrid(torch.arange(40.0), torch.arange(52.0), indexing="ij")
    at = torch.stack((across, y))[None] + 4 * torch.randn(1, 2, 40, 52, generator=generator)
    by_torch = sample_cubic(x.clone().requires_grad_(), at).detach()
    # positions are rounded to 1/32 px on the CPU; border pixels are repeated by slightly different rules
    inner = ((at > 2) & (at < torch.tensor([49.0, 37.0]).view(1, 2, 1, 1))).all(1, keepdim=True)
    assert ((sample_cubic(x, at) - by_torch).abs() * inner).max() < 0.04
    whole = torch.stack((across, y))[None].round()
    assert torch.allclose(sample_cubic(x, whole), x, atol=1e-5)
