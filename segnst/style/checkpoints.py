"""Transformer networks from files: ours, and the two PyTorch kinds that people have.

Both foreign kinds have the layout of our network, so they are loaded into it: their input and output
ranges are folded into the first and the last convolution, and the biases in front of an instance norm,
which takes them away again, are dropped.
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
    """A style that was loaded: its network, where from, and what its file says of itself.

    member  its place in a collection; ``net`` is then the network of that style alone
    """

    name: str
    net: nn.Module
    path: Path
    sha256: str
    metadata: dict[str, str]
    member: InCollection | None = None

    @property
    def painter(self) -> nn.Module | InCollection:
        """What ``PlanStylizer`` paints with."""
        return self.member or self.net


@dataclass(frozen=True, slots=True)
class Listed:
    """A style that can be called by name: its file, and what is known of its painting."""

    name: str
    path: Path
    title: str
    width: int
    collection: bool


def load_own(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> nn.Module | None:
    """Our own files, written by ``segnst train style``."""
    if "conv1.conv.weight" not in tensors:
        return None
    blocks = {k.split(".")[1] for k in tensors if k.startswith("residuals.")}
    check_blocks(len(blocks))
    width, down = width_of(tensors, "conv1.conv.weight"), down_of(tensors)
    return filled(lambda: TransformerNetwork(width, len(blocks), down=down), tensors)


def load_examples(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> nn.Module | None:
    """pytorch/examples fast_neural_style (RGB 0..255) and gordicaleksa's feedforward (ImageNet-normalized RGB).

    Told apart by the names of the last layers, ``deconv*`` and ``up*``. Old ``running_*`` keys are dropped.
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
    # ours reads 2 rgb - 1; theirs (rgb - mean) / std: the constant part vanishes in the first norm
    state["conv1.conv.weight"] = state["conv1.conv.weight"] / (2 * std[None, :, None, None])
    # ours writes 0.5 + GAIN * out; theirs means out * std + mean
    weight, bias = tensors[f"{kind}3.conv2d.weight"].float(), tensors[f"{kind}3.conv2d.bias"].float()
    state["out.weight"] = weight * std[:, None, None, None] / GAIN
    state["out.bias"] = (bias * std + mean - 0.5) / GAIN
    return filled(lambda: TransformerNetwork(width, len(blocks), upsampling="nearest"), state)


def known_styles(*, fast: bool = False) -> dict[str, Listed]:
    """All styles that can be called by name, of ``models/`` and ``$SEGNST_HOME``, collections first.

    fast  a style that is in several collections comes from the narrowest, else from the widest.
    """
    singles: dict[str, Listed] = {}
    members: dict[str, Listed] = {}
    for path in (p for folder in (bundled_dir(), home_dir()) for p in sorted(folder.glob("*.safetensors"))):
        try:
            found = _listed(path)
        except (WeightsError, ValueError) as error:
            said = f"The weights {path} are passed over: {first_line(error)}."
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
    """The styles in a file of weights, none where it holds something else. Raises WeightsError, ValueError."""
    metadata = safetensors_metadata(path)
    kind = metadata.get("format")
    if kind not in (FORMAT, COLLECTION):
        return []
    width = whole(metadata.get("width", 0), "its width", 0, MOST_WIDTH)
    if kind == FORMAT:
        return [Listed(path.stem, path, printable(metadata.get("title", "")), width, False)]
    return [Listed(m.name, path, str(m), width, True) for m in members_of(metadata)]


def locate_style(style: str, *, fast: bool = False) -> tuple[Path, str | None]:
    """File behind a name or a path, and the style's name in it where the file is a collection.

    Raises PlanError with the nearest name, WeightsError where there is no such file.
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
            f"{path} is a collection; name one of its styles as {path.name}:STYLE.{near} "
            f"It has: {', '.join(collection.names)}."
        )
    member = collection.members[collection.names.index(name)]
    net = OneStyle(collection.net, collection.code({name: 1.0})).eval().requires_grad_(False)
    metadata = collection.metadata | {"title": str(member), "style": name}
    return StyleWeights(name, net, path, collection.sha256, metadata, InCollection(collection, name))


def load_style(style: str, *, fast: bool = False) -> StyleWeights:
    """Load a style by name or path (``known_styles``, ``locate_style``).

    Raises WeightsError when it is missing, broken or of no known kind, PlanError where no style has the name.
    """
    path, member = locate_style(style, fast=fast)
    if member is not None or read_metadata(path).get("format") == COLLECTION:
        return _load_member(path, member)
    tensors, metadata = read_tensors(path)
    for name in registry.STYLE_CHECKPOINTS:
        loader = registry.get(registry.STYLE_CHECKPOINTS, name, "style checkpoint")
        try:
            net = loader(tensors, metadata)
        except (LookupError, RuntimeError, TypeError, ValueError, WeightsError) as error:
            reason = first_line(error)
            raise WeightsError(f"{path} looks like a style checkpoint ({name}) but does not fit: {reason}.") from error
        if net is not None:
            net.eval().requires_grad_(False)
            return StyleWeights(metadata.get("style") or path.stem, net, path, sha256(path), metadata)
    raise WeightsError(f"{path} is not a transformer network that segnst knows (Johnson 2016 with instance norm).")
