"""Johnson networks in the layout of lengstrom/fast-style-transfer, as others converted them to safetensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst.pixels import pad_to_multiple
from segnst.style.limits import MOST_WIDTH

STRIDE = 4


class LengstromNetwork(nn.Module):
    """RGB [B,3,H,W] in [0,1] -> the same; zero padding as in TensorFlow, transposed convolutions, tanh output."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "_"), tensor.float())

    def _layer(self, x: Tensor, name: str, stride: int = 1, up: bool = False) -> Tensor:
        weight = getattr(self, f"{name}_weight")
        pad = weight.shape[-1] // 2
        if up:
            x = F.conv_transpose2d(x, weight, stride=2)[..., :-1, :-1]
        elif stride == 2:  # TensorFlow pads the far side only
            x = F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, stride=2)
        else:
            x = F.conv2d(x, weight, padding=pad)
        scale, shift = getattr(self, f"{name}_scale"), getattr(self, f"{name}_shift")
        return F.instance_norm(x, weight=scale, bias=shift, eps=1e-3)

    def forward(self, rgb: Tensor) -> Tensor:
        height, width = rgb.shape[-2:]
        x = pad_to_multiple(rgb, STRIDE) * 255
        for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2)):
            x = F.relu(self._layer(x, name, stride))
        for k in range(1, 6):
            x = x + self._layer(F.relu(self._layer(x, f"res{k}_conv1")), f"res{k}_conv2")
        for name in ("up1", "up2"):
            x = F.relu(self._layer(x, name, up=True))
        painted = (torch.tanh(self._layer(x, "conv4")) * 150 + 127.5) / 255
        return painted[..., :height, :width]


def load(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> nn.Module | None:
    """Registry entry: recognized by the names ``conv1.scale`` and ``res5.conv2.shift``."""
    if "conv1.scale" not in tensors or "res5.conv2.shift" not in tensors:
        return None
    layers = [
        "conv1",
        "conv2",
        "conv3",
        *(f"res{k}.conv{n}" for k in range(1, 6) for n in (1, 2)),
        "up1",
        "up2",
        "conv4",
    ]
    named = {name: tensors[name] for layer in layers for name in (f"{layer}.{p}" for p in ("weight", "scale", "shift"))}
    # shapes are tried out where a picture takes no memory
    painted = LengstromNetwork({k: v.to("meta") for k, v in named.items()})(torch.empty(1, 3, 32, 32, device="meta"))
    if painted.shape != (1, 3, 32, 32) or max(named["conv1.weight"].shape) > MOST_WIDTH:
        raise ValueError("its layers do not paint pictures of the input's size")
    return LengstromNetwork(named)
