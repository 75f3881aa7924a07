"""Load transformer networks from checkpoints: segnst's own kind and two common PyTorch kinds.

The two other kinds have the same layers as our network, so their weights are loaded into it. The value ranges of their
input and output are folded into the first and the last convolution. The biases of convolutions before an instance
normalization are dropped, because the normalization subtracts them with the mean.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from segnst import registry
from segnst.errors import InputError, PlanError, SegnstWarning, WeightsError, did_you_mean
from segnst.files import PICTURE_SUFFIXES
from segnst.pixels import IMAGENET_MEAN, IMAGENET_STD
from segnst.style.collection import FORMAT as COLLECTION
from segnst.style.collection import Collection, load_collection, members_of
from segnst.style.conditional import OneStyle
from segnst.style.stylizer import InCollection
from segnst.style.transformer import GAIN, MOST_WIDTH, TransformerNetwork, check_blocks, down_of, width_of
from segnst.untrusted import check_regular, first_line, is_file, printable, short, whole
from segnst.weights import bundled_dir, filled, home_dir, read_metadata, read_tensors, safetensors_metadata, sha256

FORMAT = "segnst-johnson"  # metadata key "format" of our own files


@dataclass(frozen=True, slots=True)
class StyleWeights:
    """A loaded style: its network, the file it came from, and the metadata of that file.

    member  the style's entry in a collection, if it is from one; ``net`` is then the network for that style alone
    """

    name: str
    net: nn.Module
    path: Path
    sha256: str
    metadata: dict[str, str]
    member: InCollection | None = None

    @property
    def painter(self) -> nn.Module | InCollection:
        """What ``PlanStylizer`` needs to apply the style."""
        return self.member or self.net


@dataclass(frozen=True, slots=True)
class Listed:
    """A style that can be chosen by name: its file, and the title of its painting.

    width       channels of its network's first convolution
    collection  whether the file is a collection
    """

    name: str
    path: Path
    title: str
    width: int
    collection: bool


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


def known_styles(*, fast: bool = False) -> dict[str, Listed]:
    """All styles in ``models/`` and ``$SEGNST_HOME`` by name, those of collections first.

    fast  take a style that is in several collections from the one with the narrowest network, instead of the widest

    Unreadable files are left out, with a SegnstWarning.
    """
    singles: dict[str, Listed] = {}
    members: dict[str, Listed] = {}
    for path in (p for folder in (bundled_dir(), home_dir()) for p in sorted(folder.glob("*.safetensors"))):
        try:
            found = _listed(path)
        except (WeightsError, ValueError) as error:
            said = f"The weights {path} are ignored: {first_line(error)}."
            warnings.warn(said, SegnstWarning, stacklevel=2)
            continue
        for style in found:
            if not style.collection:
                singles.setdefault(style.name, style)
                continue
            known = members.get(style.name)
            if known is None or (style.width < known.width if fast else style.width > known.width):
                members[style.name] = style
    return {**members, **singles}


def _listed(path: Path) -> list[Listed]:
    """The styles in a weights file; empty if it holds something else. Raises WeightsError, ValueError."""
    metadata = safetensors_metadata(path)
    kind = metadata.get("format")
    if kind not in (FORMAT, COLLECTION):
        return []
    width = whole(metadata.get("width", 0), "its width", 0, MOST_WIDTH)
    if kind == FORMAT:
        return [Listed(path.stem, path, printable(metadata.get("title", "")), width, False)]
    return [Listed(m.name, path, str(m), width, True) for m in members_of(metadata)]


def locate_style(style: str, *, fast: bool = False) -> tuple[Path, str | None]:
    """The file for a style's name or path, and the style's name in it if the file is a collection.

    ``style`` is the name of a known style, a path, or ``PATH:NAME`` for one style of a collection.
    Raises PlanError for an unknown name (it suggests the nearest one), WeightsError if the file does not exist.
    """
    path = _expanded(style)
    if is_file(path):
        return path, None
    file, colon, name = style.rpartition(":")
    if colon and is_file(_expanded(file)):
        return _expanded(file), name
    if path.suffix or len(path.parts) > 1:
        try:
            check_regular(_expanded(file or style), "style checkpoint")
        except InputError as error:
            raise WeightsError(str(error)) from error
    known = known_styles(fast=fast)
    if style not in known:
        raise PlanError(
            f"There is no style '{short(style)}'.{did_you_mean(style[:100], known)} "
            f"Known: {', '.join(known) or 'none'}. A path to a checkpoint works too."
        )
    return known[style].path, style if known[style].collection else None


def _expanded(style: str) -> Path:
    try:
        return Path(style).expanduser()
    except RuntimeError:  # ~NOBODY
        return Path(style)


@lru_cache(maxsize=4)
def _collection(path: Path, _changed: int) -> Collection:
    return load_collection(path)


def _load_member(path: Path, name: str | None) -> StyleWeights:
    collection = _collection(path, path.stat().st_mtime_ns)
    if name not in collection.names:
        near = did_you_mean(name or "", collection.names)
        raise WeightsError(
            f"{path} is a collection of styles; choose one of them as {path.name}:STYLE.{near} "
            f"It has: {', '.join(collection.names)}."
        )
    member = collection.members[collection.names.index(name)]
    net = OneStyle(collection.net, collection.code({name: 1.0})).eval().requires_grad_(False)
    metadata = collection.metadata | {"title": str(member), "style": name}
    return StyleWeights(name, net, path, collection.sha256, metadata, InCollection(collection, name))


def load_style(style: str, *, fast: bool = False) -> StyleWeights:
    """Load a style by name or path (``known_styles``, ``locate_style``).

    Raises WeightsError when its file is missing, broken or of an unknown kind, PlanError when no style has the name.
    """
    path, member = locate_style(style, fast=fast)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        raise WeightsError(
            f"{path} is a picture. A painting must be learned first: segnst train style {path} --data PHOTOS "
            "--name mine; then give mine.safetensors as the style."
        )
    if member is not None or read_metadata(path).get("format") == COLLECTION:
        return _load_member(path, member)
    tensors, metadata = read_tensors(path)
    for name in registry.STYLE_CHECKPOINTS:
        loader = registry.get(registry.STYLE_CHECKPOINTS, name, "style checkpoint")
        try:
            net = loader(tensors, metadata)
        except (LookupError, RuntimeError, TypeError, ValueError, WeightsError) as error:
            reason = first_line(error)
            raise WeightsError(
                f"{path} looks like a style checkpoint ({name}), but cannot be loaded: {reason}."
            ) from error
        if net is not None:
            net.eval().requires_grad_(False)
            return StyleWeights(metadata.get("style") or path.stem, net, path, sha256(path), metadata)
    raise WeightsError(
        f"{path} is not a known kind of transformer network (Johnson et al. 2016, with instance normalization)."
    )
