"""Small inputs that somebody with bad luck, or bad intentions, could have."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segnst.style.collection import Member, write_collection
from segnst.style.painter import Painter
from segnst.weights import write_tensors
from tests.style.make import random_net

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, color: int, raw: bytes, interlace: int = 0) -> bytes:
    """A PNG that says all this of itself, whether it is true or not."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def rows(values: np.ndarray) -> bytes:
    """[H,W] as the raw rows of a PNG, each behind the filter 0."""
    return b"".join(b"\0" + row.astype(values.dtype.newbyteorder(">")).tobytes() for row in values)


def interlaced(values: np.ndarray) -> bytes:
    """uint8 [H,W] as an interlaced gray PNG."""
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    passes = [values[y::dy, x::dx] for x, y, dx, dy in steps]
    raw = b"".join(rows(p) for p in passes if p.size)
    return png(values.shape[1], values.shape[0], 8, 0, raw, interlace=1)


def coco(path: Path, image: dict[str, Any] | None = None, *annotations: dict[str, Any], name: Any = "cat") -> Path:
    """A COCO file of one image of 30x20 with one category; what is given overrides."""
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 30, "height": 20, **(image or {})}],
        "categories": [{"id": 1, "name": name}],
        "annotations": [{"id": k, "image_id": 1, "category_id": 1, **a} for k, a in enumerate(annotations)],
    }
    path.write_text(json.dumps(content))
    return path


def collection(path: Path, members: tuple[str, ...] = ("ink", "oil")) -> Path:
    """A tiny collection of styles."""
    write_collection(path, random_net(len(members) + 1, 4, blocks=1), [Member(m) for m in members], {})
    return path


def painter(path: Path) -> Path:
    """The same with a painter's layers."""
    torch.manual_seed(0)
    write_collection(path, Painter(3, 4, 1, 1), [Member("ink"), Member("oil")], {})
    return path


def examples_state(width: int = 4, blocks: int = 1) -> dict[str, torch.Tensor]:
    """The state of a network in the layout of pytorch/examples."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {}

    def layer(conv: str, norm: str, outputs: int, inputs: int, side: int) -> None:
        state[f"{conv}.conv2d.weight"] = torch.randn(outputs, inputs, side, side) / 10
        state[f"{conv}.conv2d.bias"] = torch.zeros(outputs)
        if norm:
            state[f"{norm}.weight"], state[f"{norm}.bias"] = torch.ones(outputs), torch.zeros(outputs)

    layer("conv1", "in1", width, 3, 9)
    layer("conv2", "in2", 2 * width, width, 3)
    layer("conv3", "in3", 4 * width, 2 * width, 3)
    for k in range(1, blocks + 1):
        layer(f"res{k}.conv1", f"res{k}.in1", 4 * width, 4 * width, 3)
        layer(f"res{k}.conv2", f"res{k}.in2", 4 * width, 4 * width, 3)
    layer("deconv1", "in4", 2 * width, 4 * width, 3)
    layer("deconv2", "in5", width, 2 * width, 3)
    layer("deconv3", "", 3, width, 9)
    return state


def raw_safetensors(path: Path, metadata: dict[str, str], tensors: dict[str, torch.Tensor] | None = None) -> Path:
    write_tensors(path, tensors or {"a": torch.zeros(1)}, metadata)
    return path
