"""Load transformer networks from checkpoints: segnst's own kind and two common PyTorch kinds.

The two other kinds have the same layers as our network, so their weights are loaded into it. The value ranges of their
input and output are folded into the first and the last convolution. The biases of convolutions before an instance
normalization are dropped, because the normalization subtracts them with the mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segnst.pixels import IMAGENET_MEAN, IMAGENET_STD
from segnst.style.transformer import GAIN, TransformerNetwork, check_blocks, down_of, width_of
from segnst.weights import filled


def load_own(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> nn.Module | None:
    """A network from segnst's own checkpoints, written by ``segnst train style``; None for other checkpoints."""
    if "conv1.conv.weight" not in tensors:
        return None
    blocks = {k.split(".")[1] for k in tensors if k.startswith("residuals.")}
    check_blocks(len(blocks))
    width, down = width_of(tensors, "conv1.conv.weight"), down_of(tensors)
    return filled(lambda: TransformerNetwork(width, len(blocks), down=down), tensors)


def load_examples(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> nn.Module | None:
    """A network from a checkpoint of one of two public projects; None for other checkpoints.

    These are fast_neural_style of pytorch/examples (RGB 0..255) and gordicaleksa's feedforward (ImageNet-normalized
    RGB). The names of the last layers distinguish them: ``deconv*`` and ``up*``. The keys ``running_*`` of old
    checkpoints are ignored.
    """
    kind = next((k for k in ("deconv", "up") if f"{k}3.conv2d.weight" in tensors), None)
    if kind is None or "conv1.conv2d.weight" not in tensors:
        return None
    blocks = {k.split(".")[0] for k in tensors if re.match(r"res\d+\.", k)}
    check_blocks(len(blocks))
    width = width_of(tensors, "conv1.conv2d.weight")
    pairs = {"conv1": ("conv1", "in1"), "conv2": ("conv2", "in2"), "conv3": ("conv3", "in3")}
    pairs |= {"up1": (f"{kind}1", "in4"), "up2": (f"{kind}2", "in5")}
    for k in range(len(blocks)):
        pairs[f"residuals.{k}.first"] = (f"res{k + 1}.conv1", f"res{k + 1}.in1")
        pairs[f"residuals.{k}.second"] = (f"res{k + 1}.conv2", f"res{k + 1}.in2")
    state = {}
    for ours, (conv, norm) in pairs.items():
        state[f"{ours}.conv.weight"] = tensors[f"{conv}.conv2d.weight"].float()
        state[f"{ours}.norm.weight"] = tensors[f"{norm}.weight"].float()
        state[f"{ours}.norm.bias"] = tensors[f"{norm}.bias"].float()
    if kind == "deconv":
        mean, std = torch.zeros(3), torch.full((3,), 1 / 255)
    else:
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    # Our network receives 2 rgb - 1, theirs (rgb - mean) / std. Only the scale is folded into the weights: the first
    # instance normalization removes the constant part.
    state["conv1.conv.weight"] = state["conv1.conv.weight"] / (2 * std[None, :, None, None])
    # The output of our network is 0.5 + GAIN * out, that of theirs is out * std + mean.
    weight, bias = tensors[f"{kind}3.conv2d.weight"].float(), tensors[f"{kind}3.conv2d.bias"].float()
    state["out.weight"] = weight * std[:, None, None, None] / GAIN
    state["out.bias"] = (bias * std + mean - 0.5) / GAIN
    return filled(lambda: TransformerNetwork(width, len(blocks), upsampling="nearest"), state)
