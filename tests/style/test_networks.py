"""Transformer networks: our own, and checkpoints of other projects compared with networks built as theirs are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst.errors import PlanError, UsageError, WeightsError
from segnst.plan import parse_plan
from segnst.style.checkpoints import known_styles, load_style
from segnst.style.lengstrom import LengstromNetwork
from segnst.style.stylizer import PlanStylizer
from segnst.style.transformer import TransformerNetwork
from segnst.types import LayerMasks
from segnst.weights import write_tensors
from tests.clips import texture


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (16, 16), (38, 61)])
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    net = TransformerNetwork(4, 1).eval()
    assert net(torch.rand(2, 3, *size)).shape == (2, 3, *size)


def test_frames_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        TransformerNetwork(4, 1)(torch.rand(1, 3, 8, 40))


class _Conv(nn.Module):
    """The layer of both public PyTorch projects: reflection padding and a convolution named conv2d, with bias."""

    def __init__(self, i: int, o: int, k: int, stride: int = 1, up: int = 1) -> None:
        super().__init__()
        self.up, self.pad = up, k // 2
        self.conv2d = nn.Conv2d(i, o, k, stride)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=self.up, mode="nearest") if self.up > 1 else x
        return self.conv2d(F.pad(x, (self.pad,) * 4, mode="reflect"))


class _Res(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _Conv(c, c, 3), _Conv(c, c, 3)
        self.in1, self.in2 = nn.InstanceNorm2d(c, affine=True), nn.InstanceNorm2d(c, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))


class _Public(nn.Module):
    def __init__(self, last: str, w: int = 8) -> None:
        super().__init__()
        self.last = last
        self.conv1, self.conv2, self.conv3 = _Conv(3, w, 9), _Conv(w, 2 * w, 3, 2), _Conv(2 * w, 4 * w, 3, 2)
        for k in range(1, 6):
            self.add_module(f"res{k}", _Res(4 * w))
        self.add_module(f"{last}1", _Conv(4 * w, 2 * w, 3, up=2))
        self.add_module(f"{last}2", _Conv(2 * w, w, 3, up=2))
        self.add_module(f"{last}3", _Conv(w, 3, 9))
        for k, c in enumerate((w, 2 * w, 4 * w, 2 * w, w), 1):
            self.add_module(f"in{k}", nn.InstanceNorm2d(c, affine=True))
        for p in self.parameters():  # so that scales and shifts are not 1 and 0
            p.data += 0.1 * torch.randn_like(p)

    def forward(self, x: Tensor) -> Tensor:
        part = dict(self.named_children())
        for k in (1, 2, 3):
            x = F.relu(part[f"in{k}"](part[f"conv{k}"](x)))
        for k in range(1, 6):
            x = part[f"res{k}"](x)
        for k in (1, 2):
            x = F.relu(part[f"in{k + 3}"](part[f"{self.last}{k}"](x)))
        return part[f"{self.last}3"](x)


@pytest.mark.parametrize("last", ["deconv", "up"])
def test_public_checkpoints_paint_as_their_own_networks(last: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = _Public(last).eval()
    state = theirs.state_dict() | {"in1.running_mean": torch.zeros(8)}
    torch.save(state if last == "deconv" else {"state_dict": state, "content_weight": 1.0}, tmp_path / "a.pth")
    net = load_style(str(tmp_path / "a.pth")).net
    rgb = texture(40, 64)[None]
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.inference_mode():
        want = theirs(rgb * 255) / 255 if last == "deconv" else theirs((rgb - mean) / std) * std + mean
        assert torch.allclose(net(rgb), want, atol=2e-4)


def test_our_checkpoints_survive_writing(tmp_path: Path) -> None:
    net = TransformerNetwork(8, 3).eval()
    write_tensors(
        tmp_path / "mine.safetensors", net.state_dict(), {"format": "segnst-johnson", "style": "mine"}, half=False
    )
    style = load_style(str(tmp_path / "mine.safetensors"))
    rgb = texture(32, 32)[None]
    with torch.inference_mode():
        assert torch.equal(style.net(rgb), net(rgb))
    assert (style.name, len(style.sha256)) == ("mine", 64)


def test_lengstrom_layout(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors: dict[str, Tensor] = {}
    layers = {"conv1": (8, 3, 9), "conv2": (16, 8, 3), "conv3": (32, 16, 3), "conv4": (3, 8, 9)}
    layers |= {f"res{k}.conv{j}": (32, 32, 3) for k in range(1, 6) for j in (1, 2)}
    layers |= {"up1": (32, 16, 3), "up2": (16, 8, 3)}  # transposed: [in, out, k, k]
    for name, (o, i, k) in layers.items():
        c = i if name.startswith("up") else o
        tensors |= {
            f"{name}.weight": 0.1 * torch.randn(o, i, k, k),
            f"{name}.scale": torch.ones(c),
            f"{name}.shift": torch.zeros(c),
        }
    write_tensors(tmp_path / "l.safetensors", tensors, {})
    style = load_style(str(tmp_path / "l.safetensors"))
    assert isinstance(style.net, LengstromNetwork)
    assert style.net(texture(30, 50)[None]).shape == (1, 3, 30, 50)


def test_other_files_are_refused_with_their_name(tmp_path: Path) -> None:
    write_tensors(tmp_path / "vgg.safetensors", {"features.0.weight": torch.zeros(4, 3, 3, 3)}, {})
    with pytest.raises(WeightsError, match=r"vgg\.safetensors is not a known kind of transformer network"):
        load_style(str(tmp_path / "vgg.safetensors"))
    state = _Public("deconv").state_dict()
    del state["res2.in1.weight"]
    torch.save(state, tmp_path / "half.pth")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_style(str(tmp_path / "half.pth"))


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(PlanError, match="no style 'stary_night'"):
        load_style("stary_night")
    for name in known_styles():
        with pytest.raises(PlanError, match=f"Did you mean '{name}'"):
            load_style(name[:-1])


class _Flat(nn.Module):
    """Paints everything in one value and counts its calls."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value, self.calls = value, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return torch.full_like(x, self.value)


def _stylizer(*entries: str) -> tuple[PlanStylizer, dict[str, _Flat]]:
    plan = parse_plan(entries)
    nets = {name: _Flat(0.2 if name == "a" else 0.8) for name in plan.styles}
    return PlanStylizer(plan, nets, torch.device("cpu")), nets


def test_layers_are_composed_by_mask() -> None:
    stylizer, _ = _stylizer("car=a", "background=b")
    soft = torch.zeros(1, 2, 16, 16)
    soft[:, 0, :, :8], soft[:, 1, :, 8:] = 1, 1
    painted, _ = stylizer(torch.rand(1, 3, 16, 16), LayerMasks(soft, ("car", "background")))
    assert painted[..., :8].mean().item() == pytest.approx(0.2, abs=1e-3)
    assert painted[..., 8:].mean().item() == pytest.approx(0.8, abs=1e-3)


def test_a_style_nowhere_seen_is_not_computed() -> None:
    stylizer, nets = _stylizer("car=a", "background=b")
    soft = torch.zeros(1, 2, 16, 16)
    soft[:, 1] = 1
    stylizer(torch.rand(1, 3, 16, 16), LayerMasks(soft, ("car", "background")))
    assert (nets["a"].calls, nets["b"].calls) == (0, 1)


def test_a_style_of_two_layers_is_computed_once_and_mixes_are_means() -> None:
    stylizer, nets = _stylizer("car=a", "background=a+b*3")
    soft = torch.full((1, 2, 16, 16), 0.5)
    painted, _ = stylizer(torch.rand(1, 3, 16, 16), LayerMasks(soft, ("car", "background")))
    assert nets["a"].calls == 1
    assert painted.mean().item() == pytest.approx((0.2 + 0.25 * 0.2 + 0.75 * 0.8) / 2, abs=1e-3)


def test_original_stays_the_source() -> None:
    stylizer, _ = _stylizer("car=a", "background=original")
    rgb = torch.rand(1, 3, 16, 16)
    soft = torch.zeros(1, 2, 16, 16)
    soft[:, 1] = 1
    painted, _ = stylizer(rgb, LayerMasks(soft, ("car", "background")))
    assert torch.allclose(painted, rgb, atol=1e-6)


def test_small_frames_are_a_usage_error() -> None:
    stylizer, _ = _stylizer("a")
    with pytest.raises(UsageError, match="too small"):
        stylizer(torch.rand(1, 3, 8, 8), None)
