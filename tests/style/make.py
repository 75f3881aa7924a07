"""Networks for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from segnst.perceptual.encoders import load_encoder
from segnst.style.collection import Member, write_collection
from segnst.style.conditional import ConditionalNetwork, ConditionalTransformer
from segnst.style.painter import Painter
from segnst.style.row_encoder import RowEncoder, description
from tests.clips import texture


def random_net(
    styles: int, width: int, *, blocks: int = 5, identity: bool = False, down: int = 3
) -> ConditionalTransformer:
    """A transformer network of styles that differ, the same at every call."""
    torch.manual_seed(3)
    net = ConditionalTransformer(styles, width, blocks, identity=identity, down=down)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith(("gamma", "beta")):
                parameter.add_(0.4 * torch.randn_like(parameter))
    return net.eval().requires_grad_(False)


def random_painter(styles: int, width: int = 4) -> Painter:
    """A painter with an identity style whose styles differ, the same at every call."""
    torch.manual_seed(5)
    net = Painter(styles, width, 1, 1, identity=True)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith(("gamma", "beta")):
                parameter.add_(0.4 * torch.randn_like(parameter))
    return net.eval().requires_grad_(False)


def random_encoder(net: ConditionalNetwork) -> RowEncoder:
    """A row encoder that has learned nothing, but gives different pictures different rows."""
    torch.manual_seed(6)
    pictures = torch.stack([texture(64, 64, k).float() for k in range(3)])
    found = description(load_encoder("small"), pictures)
    encoder = RowEncoder(found.shape[1], net.rows().shape[1])
    encoder.settle(found, net.rows()[:-1].mean(0))
    torch.nn.init.normal_(encoder.last.weight, std=0.3)
    return encoder


def write_painter(path: Path, names: Sequence[str] = ("ink", "oil"), *, width: int = 4, encoder: bool = True) -> Path:
    """Write a collection of these styles, by a tiny painter, with an encoder for any picture."""
    net = random_painter(len(names) + 1, width)
    write_collection(path, net, [Member(name) for name in names], {}, random_encoder(net) if encoder else None)
    return path
