"""Transformer networks from files: ours, and the two PyTorch kinds that people have.

Both foreign kinds have the layout of our network, so they are loaded into it: their input and output
ranges are folded into the first and the last convolution, and the biases in front of an instance norm,
which takes them away again, are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from segnst import registry
from segnst.errors import WeightsError, did_you_mean
from segnst.perceptual.encoders import IMAGENET_MEAN, IMAGENET_STD
from segnst.style.transformer import GAIN, TransformerNetwork
from segnst.weights import bundled_dir, find, read_tensors, sha256

FORMAT = "segnst-johnson"  # metadata key "format" of our own files


@dataclass(frozen=True, slots=True)
class StyleWeights:
    """A style that was loaded: its network, where from, and what its file says of itself."""

    name: str
    net: nn.Module
    path: Path
    sha256: str
    metadata: dict[str, str]


def _shape(tensors: Mapping[str, Tensor], first: str) -> int:
    weight = tensors.get(first)
    if weight is None or weight.ndim != 4 or weight.shape[1:] != (3, 9, 9):
        raise WeightsError(f"{first} should be [width,3,9,9].")
    return int(weight.shape[0])


def load_own(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> nn.Module | None:
    """Our own files, written by ``segnst train style``."""
    if "conv1.conv.weight" not in tensors:
        return None
    blocks = {k.split(".")[1] for k in tensors if k.startswith("residuals.")}
    net = TransformerNetwork(_shape(tensors, "conv1.conv.weight"), len(blocks))
    net.load_state_dict({k: v.float() for k, v in tensors.items()})
    return net


def load_examples(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> nn.Module | None:
    """pytorch/examples fast_neural_style (RGB 0..255) and gordicaleksa's feedforward (ImageNet-normalised RGB).

    Told apart by the names of the last layers, ``deconv*`` and ``up*``. Old ``running_*`` keys are dropped.
    """
    kind = next((k for k in ("deconv", "up") if f"{k}3.conv2d.weight" in tensors), None)
    if kind is None or "conv1.conv2d.weight" not in tensors:
        return None
    blocks = {k.split(".")[0] for k in tensors if re.match(r"res\d+\.", k)}
    net = TransformerNetwork(_shape(tensors, "conv1.conv2d.weight"), len(blocks), upsampling="nearest")
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
    # ours reads 2 rgb - 1; theirs (rgb - mean) / std: the constant part vanishes in the first norm
    state["conv1.conv.weight"] = state["conv1.conv.weight"] / (2 * std[None, :, None, None])
    # ours writes 0.5 + GAIN * out; theirs means out * std + mean
    weight, bias = tensors[f"{kind}3.conv2d.weight"].float(), tensors[f"{kind}3.conv2d.bias"].float()
    state["out.weight"] = weight * std[:, None, None, None] / GAIN
    state["out.bias"] = (bias * std + mean - 0.5) / GAIN
    net.load_state_dict(state)
    return net


def bundled_styles() -> dict[str, Path]:
    """{name: path} of the styles that come with segnst."""
    from safetensors import SafetensorError, safe_open

    styles = {}
    for path in sorted(bundled_dir().glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("format") == FORMAT:
                    styles[path.stem] = path
        except (SafetensorError, OSError):
            continue  # `segnst doctor` names damaged files; a list should not fail on one
    return styles


def locate_style(style: str) -> Path:
    """Path behind a bundled name or a path. Raises WeightsError with the nearest name."""
    path = Path(style).expanduser()
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise WeightsError(f"The style checkpoint {style} does not exist.")
    found = find(f"{style}.safetensors")
    known = bundled_styles()
    if found is None or (style not in known and found.parent == bundled_dir()):
        raise WeightsError(
            f"There is no style '{style}'.{did_you_mean(style, known)} Bundled: {', '.join(known) or 'none'}. "
            "A path to a checkpoint works too."
        )
    return found


def load_style(style: str) -> StyleWeights:
    """Load a style by bundled name or path. Raises WeightsError when it is missing, broken or of no known kind."""
    path = locate_style(style)
    tensors, metadata = read_tensors(path)
    for name in registry.STYLE_CHECKPOINTS:
        loader = registry.get(registry.STYLE_CHECKPOINTS, name, "style checkpoint")
        try:
            net = loader(tensors, metadata)
        except (KeyError, RuntimeError, WeightsError) as error:
            reason = str(error).splitlines()[0]
            raise WeightsError(f"{path} looks like a style checkpoint ({name}) but does not fit: {reason}") from error
        if net is not None:
            net.eval().requires_grad_(False)
            return StyleWeights(metadata.get("style") or path.stem, net, path, sha256(path), metadata)
    raise WeightsError(f"{path} is not a transformer network that segnst knows (Johnson 2016 with instance norm).")
