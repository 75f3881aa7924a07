"""Any picture as a style: predicting the scales and shifts of a network of many styles from a picture.

After Ghiasi 2017 (arXiv 1705.06830), whose style prediction network gives the parameters of conditional instance norm.
Here the picture is described by channel means and deviations of a perceptual network, which characterize a style well
(Huang & Belongie 2017, arXiv 1703.06868), and a small perceptron turns them into a row of style parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segnst.perceptual.encoders import Encoder
from segnst.weights import filled

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
FLOOR = 1e-3  # added before the logarithm is taken, as a share of a layer's mean deviation
HIDDEN, CODE = 256, 128


def description(encoder: Encoder, rgb: Tensor) -> Tensor:
    """Describe pictures [B,3,H,W] in [0,1] by the logarithms of each layer's channel means and deviations: [B,D]."""
    parts = []
    for features in encoder(rgb, LAYERS).values():
        flat = features.float().flatten(2)
        mean, deviation = flat.mean(2), flat.std(2)
        floor = FLOOR * deviation.mean(1, keepdim=True).clamp_min(1e-6)
        parts += [(mean + floor).log(), (deviation + floor).log()]
    return torch.cat(parts, 1)


class RowEncoder(nn.Module):
    """Descriptions [B,D] -> rows [B,R]: every norm's scale and shift (``ConditionalNetwork.rows``).

    Before training, every picture gets nearly the row ``base``, so that training starts from a real style and not from
    noise.
    """

    center: Tensor
    spread: Tensor
    base: Tensor

    def __init__(self, inputs: int, row: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(inputs))
        self.register_buffer("spread", torch.ones(inputs))
        self.register_buffer("base", torch.zeros(row))
        self.first = nn.Linear(inputs, HIDDEN)
        self.second = nn.Linear(HIDDEN, CODE)
        self.last = nn.Linear(CODE, row)
        nn.init.normal_(self.last.weight, std=1e-3)
        nn.init.zeros_(self.last.bias)

    @torch.no_grad()
    def settle(self, descriptions: Tensor, base: Tensor) -> None:
        """Set the input normalization from the descriptions [N,D] of many pictures, and ``base`` to the row [R]."""
        self.center.copy_(descriptions.mean(0))
        self.spread.copy_(descriptions.std(0).clamp_min(1e-3))
        self.base.copy_(base)

    def forward(self, descriptions: Tensor) -> Tensor:
        x = (descriptions - self.center) / self.spread
        code = torch.relu(self.second(torch.relu(self.first(x.clamp(-5, 5)))))
        row: Tensor = self.base + self.last(code)
        return row


def encoder_of(tensors: dict[str, Tensor], prefix: str = "encoder.") -> RowEncoder | None:
    """The row encoder among a collection's tensors, or None. Its tensors are removed from ``tensors``."""
    mine = {k.removeprefix(prefix): tensors.pop(k) for k in sorted(tensors) if k.startswith(prefix)}
    if not mine:
        return None
    result = filled(lambda: RowEncoder(len(mine["center"]), len(mine["base"])), mine)
    return result.eval().requires_grad_(False)
