from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from segnst.errors import UsageError, WeightsError
from segnst.perceptual.encoders import load_encoder
from segnst.perceptual.losses import content_loss, gram, gram_loss, temporal_loss, total_variation
from segnst.pixels import IMAGENET_MEAN, IMAGENET_STD
from segnst.weights import write_tensors
from tests.clips import texture


@pytest.fixture(scope="module")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """torchvision's VGG19 to relu2_2 with random weights, as a file."""
    torch.manual_seed(0)
    net = torchvision.models.vgg19(weights=None).features[:9]
    path = tmp_path_factory.mktemp("vgg") / "vgg.safetensors"
    write_tensors(path, {f"features.{k}": v for k, v in net.state_dict().items()}, {}, half=False)
    return path, net.eval()


def test_layers_are_torchvisions(vgg: tuple[Path, torch.nn.Module]) -> None:
    path, net = vgg
    encoder = load_encoder(path)
    assert encoder.layers == ("relu1_1", "relu1_2", "relu2_1", "relu2_2")
    rgb = texture(24, 32)[None]
    x = torchvision.transforms.functional.normalize(rgb, list(IMAGENET_MEAN), list(IMAGENET_STD))
    want = {}
    for k, layer in enumerate(net):
        x = layer(x)
        if k in (1, 8):
            want[k] = x
    have = encoder(rgb, ("relu1_1", "relu2_2"))
    assert torch.allclose(have["relu1_1"], want[1], atol=1e-5)
    assert torch.allclose(have["relu2_2"], want[8], atol=1e-5)


def test_unknown_layers_are_suggested(vgg: tuple[Path, torch.nn.Module]) -> None:
    with pytest.raises(UsageError, match="Did you mean 'relu2_2'"):
        load_encoder(vgg[0])(torch.rand(1, 3, 16, 16), ("relu2_3",))


def test_other_files_are_no_vgg(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(1)}, {})
    with pytest.raises(WeightsError, match="neither VGG16 nor VGG19"):
        load_encoder(tmp_path / "a.safetensors")


def test_gram_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    assert gram(features)[0].tolist() == [[2.5, 5.5], [5.5, 12.5]]
    assert gram_loss(features, gram(features)) == 0


def test_losses_are_relative() -> None:
    target = torch.rand(1, 4, 5, 5)
    assert content_loss(torch.zeros_like(target), target).item() == pytest.approx(1)
    assert content_loss(100 * target * 1.1, 100 * target).item() == pytest.approx(0.01, rel=1e-3)
    assert total_variation(torch.full((1, 3, 8, 8), 0.3)) == 0


def test_unreliable_pixels_do_not_count() -> None:
    a, b = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    reliable = torch.zeros(1, 1, 4, 4)
    assert temporal_loss(a, b, reliable) == 0
    reliable[..., :2] = 1
    b[..., :2] = 0.5
    assert temporal_loss(a, b, reliable).item() == pytest.approx(0.25)
