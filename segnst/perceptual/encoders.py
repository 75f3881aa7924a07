"""Perceptual networks: VGG layers by name, from torchvision's weights or from a file.

Layer names are those of the papers: ``relu{block}_{conv}`` (Simonyan & Zisserman 2014, arXiv 1409.1556).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst.catalog import fetch_named
from segnst.errors import SegnstWarning, UsageError, WeightsError, did_you_mean
from segnst.pixels import IMAGENET_MEAN, IMAGENET_STD
from segnst.untrusted import first_line
from segnst.weights import bundled, read_tensors

# convolutions per block
VGG_BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
SMALL = "small"  # the bundled encoder, distilled from VGG19 (segnst.train.features)
SMALL_FORMAT = "segnst-features"
LEAST = 2  # positions that a layer must have along each side


Pooling = Literal["max", "avg"]


def _layer(tensors: tuple[Tensor, ...], pad_mode: Literal["zeros", "reflect"]) -> nn.Module:
    """A 3x3 convolution, or one of low rank: 3x3 to a few channels without bias, then 1x1 to all of them."""
    if len(tensors) == 2:
        weight, bias = tensors
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, padding_mode=pad_mode)
        conv.load_state_dict({"weight": weight.float(), "bias": bias.float()})
        return conv
    down, up, bias = tensors
    narrow = nn.Conv2d(down.shape[1], down.shape[0], 3, padding=1, padding_mode=pad_mode, bias=False)
    wide = nn.Conv2d(up.shape[1], up.shape[0], 1)
    narrow.load_state_dict({"weight": down.float()})
    wide.load_state_dict({"weight": up.float(), "bias": bias.float()})
    return nn.Sequential(narrow, wide)


class Encoder(nn.Module):
    """A chain of 3x3 convolutions with pooling between blocks, whose layers are read out by name.

    weights   {layer: (weight [O,I,3,3], bias [O])}, in order of depth; of low rank where three tensors are given,
              (down [R,I,3,3], up [O,R,1,1], bias [O])
    first     (weight [3,3,1,1], bias [3]) applied to the input RGB in [0,1]: the preprocessing
    pad_mode  padding of the convolutions: "zeros" as in VGG, "reflect" as in distilled encoders
    pooling   "max" as in VGG, or "avg" (Gatys 2016 found it to give slightly more appealing pictures); may be set later
    """

    def __init__(
        self,
        name: str,
        weights: Mapping[str, tuple[Tensor, ...]],
        first: tuple[Tensor, Tensor],
        pad_mode: Literal["zeros", "reflect"] = "zeros",
    ) -> None:
        super().__init__()
        self.name = name
        self.layers = tuple(weights)
        self.pooling: Pooling = "max"
        self.first = nn.Conv2d(3, 3, 1)
        self.convs = nn.ModuleDict()
        with torch.no_grad():
            self.first.load_state_dict({"weight": first[0].float(), "bias": first[1].float()})
            for layer, tensors in weights.items():
                self.convs[layer] = _layer(tensors, pad_mode)
        self.requires_grad_(False).eval()

    def check(self, layers: Iterable[str]) -> None:
        """Raise UsageError when the encoder lacks one of these layers."""
        for layer in layers:
            if layer not in self.convs:
                raise UsageError(
                    f"{self.name} has no layer '{layer}'.{did_you_mean(layer, self.layers)} "
                    f"It has: {', '.join(self.layers)}."
                )

    def check_size(self, size: tuple[int, int], layers: Iterable[str]) -> None:
        """Raise UsageError when a picture of (H, W) px is too small for one of the layers."""
        for layer in sorted(layers):
            least = LEAST << (int(layer[4]) - 1)
            if min(size) < least:
                raise UsageError(
                    f"A picture of {size[1]}x{size[0]} px is too small for the layer {layer}, which needs {least} px "
                    "on each side. Give a larger --max-size or a layer that is less deep."
                )

    def forward(self, rgb: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """RGB [B,3,H,W] in [0,1] -> {layer: [B,C,h,w]}; nothing deeper than the last named layer is computed."""
        wanted = set(layers)
        self.check(wanted)
        out: dict[str, Tensor] = {}
        if not wanted:
            return out
        x = self.first(rgb)
        block = "1"
        for layer, conv in self.convs.items():
            if layer[4] != block:
                x = F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)
                block = layer[4]
            x = F.relu(conv(x), inplace=True)
            if layer in wanted:
                out[layer] = x
                if len(out) == len(wanted):
                    break
        return out


def normalization() -> tuple[Tensor, Tensor]:
    std = torch.tensor(IMAGENET_STD)
    return torch.diag(1 / std)[:, :, None, None], -torch.tensor(IMAGENET_MEAN) / std


def _vgg(tensors: Mapping[str, Tensor], source: str) -> Encoder:
    """VGG from torchvision's names (features.N.weight); may stop at any depth."""
    convs = sorted(int(k.split(".")[1]) for k in tensors if k.startswith("features.") and k.endswith("weight"))
    for name, blocks in VGG_BLOCKS.items():
        position, index, weights = 0, 0, {}
        for block, count in enumerate(blocks, 1):
            for k in range(1, count + 1):
                if index < len(convs) and convs[index] == position:
                    key = f"features.{position}"
                    weights[f"relu{block}_{k}"] = (tensors[f"{key}.weight"], tensors[f"{key}.bias"])
                    index += 1
                position += 2
            position += 1
        if index == len(convs) and index > 0:
            return Encoder(name, weights, normalization())
    raise WeightsError(f"{source} holds neither VGG16 nor VGG19 (tensors features.N.weight in torchvision's order).")


def _distilled(tensors: Mapping[str, Tensor]) -> Encoder:
    """Encoders of Wang et al. 2020 (Collaborative Distillation, arXiv 2003.08436): conv0, conv11, conv12, conv21 …"""
    names = sorted(k[4:6] for k in tensors if len(k) == 13 and k.startswith("conv") and k.endswith(".weight"))
    weights = {f"relu{n[0]}_{n[1]}": (tensors[f"conv{n}.weight"], tensors[f"conv{n}.bias"]) for n in names}
    return Encoder("distilled", weights, (tensors["conv0.weight"], tensors["conv0.bias"]), "reflect")


def _small(tensors: Mapping[str, Tensor]) -> Encoder:
    """Our own distilled encoders: LAYER.down, LAYER.up, LAYER.bias, in order of depth by their names."""
    layers = sorted(k.removesuffix(".bias") for k in tensors if k.endswith(".bias"))
    weights = {n: (tensors[f"{n}.down"], tensors[f"{n}.up"], tensors[f"{n}.bias"]) for n in layers}
    return Encoder(SMALL, weights, normalization())


def load_encoder(source: str | Path, *, offline: bool = False) -> Encoder:
    """``vgg16``, ``vgg19`` (torchvision's weights, fetched on first use), ``small`` (bundled) or the path of a file.

    Where VGG's weights cannot be had, ``small`` replaces it and a SegnstWarning says so.
    Raises WeightsError when a file is missing, broken or of another kind.
    """
    if str(source) in VGG_BLOCKS:
        try:
            path = fetch_named(str(source), offline=offline)
        except WeightsError as error:
            small = load_encoder(SMALL)
            reason = str(error).removesuffix(".")
            warnings.warn(f"The bundled small encoder stands in for {source}: {reason}.", SegnstWarning, stacklevel=2)
            return small
        return _vgg(read_tensors(path)[0], str(path))
    path = bundled("features_small.safetensors") if str(source) == SMALL else Path(source)
    if str(source) != SMALL and not path.is_file() and not path.suffix and len(path.parts) == 1:
        known = (*VGG_BLOCKS, SMALL)
        raise WeightsError(
            f"There is no perceptual network '{source}'.{did_you_mean(str(source), known)} Known: {', '.join(known)}; "
            "a path to a weights file works too."
        )
    tensors, metadata = read_tensors(path)
    try:
        if metadata.get("format") == SMALL_FORMAT:
            encoder = _small(tensors)
        elif "conv0.weight" in tensors and "conv11.weight" in tensors:
            encoder = _distilled(tensors)
        else:
            encoder = _vgg(tensors, str(source))
        with torch.inference_mode():  # whether its layers fit each other
            encoder(torch.zeros(1, 3, 32, 32), [*encoder.layers][-1:])
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} is not a perceptual network that fits ({first_line(error)}).") from error
    return encoder
