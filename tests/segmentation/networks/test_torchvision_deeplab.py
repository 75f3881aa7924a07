from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import segmentation

from segnst.errors import WeightsError
from segnst.segmentation.base import resolve
from segnst.segmentation.networks import torchvision_deeplab


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the form of the official file, which has an auxiliary head and is saved by torch."""
    torch.manual_seed(0)
    net = segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
    path = tmp_path_factory.mktemp("weights") / "deeplabv3_mobilenet_v3_large-fc3c493d.pth"
    torch.save(net.state_dict(), path)
    return path


def test_an_official_checkpoint_loads_and_runs(checkpoint: Path) -> None:
    segmenter = torchvision_deeplab.load("deeplabv3_mobilenet_v3_large", device="cpu", weights=checkpoint)
    p, carry = segmenter(torch.rand(2, 3, 90, 160))
    assert carry is None
    assert p.shape == (2, 21, 90, 160)
    assert torch.allclose(p.sum(1), torch.ones(2, 90, 160), atol=1e-4)
    assert [r.name for r in resolve("car", segmenter.regions)] == ["car"]


def test_weights_of_another_network_are_refused(checkpoint: Path) -> None:
    with pytest.raises(WeightsError, match="does not hold the weights of deeplabv3_resnet50"):
        torchvision_deeplab.load("deeplabv3_resnet50", device="cpu", weights=checkpoint)


def test_offline_without_the_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="offline"):
        torchvision_deeplab.load("deeplabv3_resnet101", device="cpu", offline=True)


def test_a_file_with_a_wrong_checksum_is_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGNST_HOME", str(checkpoint.parent))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="damaged"):
        torchvision_deeplab.load("deeplabv3_mobilenet_v3_large", device="cpu", offline=True)
