"""Networks of many styles by the name of their architecture, and copies of them with other styles."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from segnst.errors import UsageError, did_you_mean
from segnst.style.conditional import ConditionalNetwork, ConditionalTransformer
from segnst.style.painter import Painter
from segnst.style.transformer import check_blocks, down_of, width_of

ARCHITECTURES = (Painter.architecture, ConditionalTransformer.architecture)


def new_network(architecture: str, styles: int, width: int, *, down: int = 5, identity: bool) -> ConditionalNetwork:
    """A network that has learned nothing yet. Raises UsageError for an architecture that does not exist.

    styles  number of styles; with ``identity``, the last of them repeats the photo
    down    side of the downsampling kernels in a transformer (``TransformerNetwork``)
    """
    if architecture == Painter.architecture:
        return Painter(styles, width, identity=identity)
    if architecture == ConditionalTransformer.architecture:
        return ConditionalTransformer(styles, width, identity=identity, down=down)
    raise UsageError(
        f"There is no architecture '{architecture}'.{did_you_mean(architecture, ARCHITECTURES)} "
        f"Known: {', '.join(ARCHITECTURES)}."
    )


def network_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], styles: int) -> ConditionalNetwork:
    """A network of the kind and size that a file holds, without its weights.

    Raises KeyError or WeightsError when tensors are missing or of other shapes.
    """
    plain = metadata.get("identity") == "plain"

    def blocks(prefix: str) -> int:
        return check_blocks(len({k.split(".")[1] for k in tensors if k.startswith(f"{prefix}.")}))

    if metadata.get("architecture") == Painter.architecture:
        width = width_of(tensors, "stem.conv.weight", (12, 5, 5))
        return Painter(styles, width, blocks("blocks8"), blocks("blocks4"), identity=plain)
    width = width_of(tensors, "conv1.conv.weight")
    return ConditionalTransformer(styles, width, blocks("residuals"), identity=plain, down=down_of(tensors))


@torch.no_grad()
def with_rows(net: ConditionalNetwork, rows: Sequence[int], *, identity: bool) -> ConditionalNetwork:
    """A copy of a network with the styles of these numbers, in this order; a number may occur twice.

    identity  whether the last of them is the identity
    """
    result = copy.deepcopy(net)
    result.styles, result.identity = len(rows), identity
    for _, layer in result.norms():
        layer.gamma, layer.beta = (nn.Parameter(p[list(rows)].clone()) for p in (layer.gamma, layer.beta))
        layer.identity = identity
    return result


@torch.no_grad()
def with_added(net: ConditionalNetwork, rows: Tensor) -> ConditionalNetwork:
    """A copy of a network with more styles before its last one, from their rows [N,R] (``ConditionalNetwork.rows``)."""
    last = net.styles - 1
    result = with_rows(net, [*range(last), *([last] * len(rows)), last], identity=net.identity)
    for layer, scale, shift in result.split_rows(rows):
        layer.gamma[last:-1], layer.beta[last:-1] = scale.to(layer.gamma), shift.to(layer.beta)
    return result
