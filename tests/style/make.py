"""Networks for tests."""

from __future__ import annotations

import torch

from segnst.style.conditional import ConditionalTransformer


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
