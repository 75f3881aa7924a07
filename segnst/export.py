"""Networks as ONNX files, for programs that run them without segnst (``segnst export onnx``)."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst import registry
from segnst.errors import OutputError, UsageError
from segnst.files import written_whole
from segnst.segmentation.from_settings import load_segmenter
from segnst.segmentation.networks.deeplab import DeepLabSegmenter
from segnst.segmentation.wrappers.two_looks import CloserSegmenter
from segnst.style.checkpoints import load_style
from segnst.style.conditional import EPS

if TYPE_CHECKING:
    from segnst.style.conditional import ConditionalConv, ConditionalNetwork

OPSET = 17  # of ONNX 1.12; every runtime of the last years reads it


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written: its inputs and outputs with their shapes, and what its metadata say."""

    path: Path
    opset: int
    inputs: dict[str, str]
    outputs: dict[str, str]
    metadata: dict[str, str]


class _Painter(nn.Module):
    """rgb [1,3,H,W] in [0,1] and a mix of styles [1,S] -> painted, normalized with the frame's own statistics."""

    def __init__(self, net: ConditionalNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor, code: Tensor) -> Tensor:
        def norm(layer: ConditionalConv, x: Tensor) -> Tensor:
            mean = x.mean((2, 3), keepdim=True)
            square = (x - mean).square().mean((2, 3), keepdim=True)
            normalized, plain = (scale[..., None, None] for scale in layer.scales(code))
            shift = (code @ layer.beta)[..., None, None]
            return (x - mean) / (square + EPS).sqrt() * normalized + x * plain + shift

        margin = self.net.margin
        if not margin:
            return self.net.through_framed(rgb, norm).clamp(0, 1)
        painted = self.net.through_framed(F.pad(rgb, (margin,) * 4, mode="reflect"), norm)
        return painted[..., margin:-margin, margin:-margin].clamp(0, 1)


class _Single(nn.Module):
    """A network of one style: rgb [1,3,H,W] in [0,1] -> painted."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor) -> Tensor:
        painted: Tensor = self.net(rgb)
        return painted.clamp(0, 1)


class _Segmenter(nn.Module):
    """rgb [1,3,H,W] in [0,1] -> probabilities [1,K,(H-1)/4+1,(W-1)/4+1]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor) -> Tensor:
        found: Tensor = self.net(rgb * 2 - 1)
        return found.softmax(1)


def export_onnx(name: str, output: str | Path, *, opset: int = OPSET, overwrite: bool = False) -> Exported:
    """Write a segmenter, or the network of a style, as an ONNX file. Height and width are free.

    name    of a segmenter of the kind that segnst trains (deeplab, car_parts, or a file), else of a style
    opset   version of ONNX's operators

    Raises UsageError, PlanError, WeightsError, OutputError.
    """
    path = Path(output)
    if importlib.util.find_spec("onnx") is None:
        raise UsageError("Exporting needs the package onnx. Install it with: pip install 'segnst[onnx]'")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; replace it with --overwrite.")
    if not path.parent.is_dir():
        raise OutputError(f"There is no folder {path.parent} to write {path.name} into.")
    segmenter = name.partition(":")[0] in registry.SEGMENTERS
    return _segmenter(name, path, opset) if segmenter else _style(name, path, opset)


def _segmenter(name: str, path: Path, opset: int) -> Exported:
    found = load_segmenter(name, torch.device("cpu"))
    found = found.first if isinstance(found, CloserSegmenter) else found
    if not isinstance(found, DeepLabSegmenter):
        raise UsageError(f"The segmenter '{name}' cannot be exported; deeplab and car_parts can.")
    metadata = {
        "classes": json.dumps([r.name for r in found.regions]),
        "sides": "of the form 16k+1",
        "long_side": str(found.long_side),
    }
    inputs = {"rgb": (torch.zeros(1, 3, 65, 97), "1,3,H,W in [0,1]; H and W of the form 16k+1")}
    outputs = {"probabilities": f"1,{len(found.regions)},(H-1)/4+1,(W-1)/4+1, corners aligned with the input's"}
    return _write(_Segmenter(found.network), inputs, outputs, metadata, path, opset)


def _style(name: str, path: Path, opset: int) -> Exported:
    style = load_style(name)
    example = torch.linspace(0, 1, 3 * 64 * 96).view(1, 3, 64, 96)
    outputs = {"painted": "1,3,H,W in [0,1]"}
    if style.member is None:
        inputs = {"rgb": (example, "1,3,H,W in [0,1]; H and W multiples of 4")}
        return _write(_Single(style.net), inputs, outputs, {"styles": json.dumps([style.name])}, path, opset)
    collection = style.member.collection
    net = collection.net
    code = collection.code({style.member.name: 1.0})[None]
    names = [*collection.names, *(["identity"] if net.styles > len(collection.names) else [])]
    inputs = {
        "rgb": (example, f"1,3,H,W in [0,1]; H and W multiples of {net.stride}, at least {net.smallest}"),
        "code": (code, f"1,{net.styles}: weights of the styles, which sum to 1"),
    }
    return _write(_Painter(net), inputs, outputs, {"styles": json.dumps(names)}, path, opset)


def _write(
    module: nn.Module,
    inputs: Mapping[str, tuple[Tensor, str]],
    outputs: Mapping[str, str],
    metadata: dict[str, str],
    path: Path,
    opset: int,
) -> Exported:
    import onnx

    free = {name: {2: "height", 3: "width"} for name, (tensor, _) in inputs.items() if tensor.ndim == 4}
    free |= {name: {2: f"{name}_height", 3: f"{name}_width"} for name in outputs}
    said = {name: shape for name, (_, shape) in inputs.items()}
    try:
        with written_whole(path) as temporary, warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's about the future of its exporter
            torch.onnx.export(
                module.eval(),
                tuple(tensor for tensor, _ in inputs.values()),
                str(temporary),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes=free,
                opset_version=opset,
                dynamo=False,
            )
            model = onnx.load(str(temporary))
            onnx.checker.check_model(model)
            onnx.helper.set_model_props(model, {**metadata, **said, **outputs})
            onnx.save(model, str(temporary))
    except (OSError, torch.onnx.errors.OnnxExporterError, ValueError) as error:
        raise OutputError(f"{path} cannot be written as ONNX with opset {opset} ({error}).") from error
    return Exported(path, opset, said, dict(outputs), metadata)
