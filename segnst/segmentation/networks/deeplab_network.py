"""DeepLabV3 on MobileNetV2, with a small decoder for edges. Batch norm is folded into the convolutions.

Sources: Chen et al. 2017 (arXiv:1706.05587, atrous spatial pyramid pooling), Chen et al. 2018
(arXiv:1802.02611, low-level features in the decoder), Sandler et al. 2018 (arXiv:1801.04381, MobileNetV2).
Differences from these: the atrous branches are depthwise-separable, and the decoder *adds to* the coarse logits, so
that a network whose decoder and atrous branches are zero computes plain DeepLabV3 with one 1x1 branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (output channels, expansion, stride, dilation) of each block after the stem; the output stride is 16
_BLOCKS = (
    (16, 1, 1, 1),
    (24, 6, 2, 1), (24, 6, 1, 1),
    (32, 6, 2, 1), (32, 6, 1, 1), (32, 6, 1, 1),
    (64, 6, 2, 1), (64, 6, 1, 1), (64, 6, 1, 1), (64, 6, 1, 1),
    (96, 6, 1, 1), (96, 6, 1, 1), (96, 6, 1, 1),
    (160, 6, 1, 1), (160, 6, 1, 2), (160, 6, 1, 2),
    (320, 6, 1, 2),
)  # fmt: skip
_STEM = 32
_LOW = 2  # index of the last block at stride 4; its output feeds the decoder
_DEPTHS = (5, 12)  # blocks at stride 8 and 16 whose output helps to distinguish objects of the same class
RATES = (6, 12, 18)


class _Block(nn.Module):
    """Inverted residual block: expand the channels, filter each one (depthwise), project."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.widen = nn.Conv2d(inputs, hidden, 1) if expansion > 1 else None
        self.filter = nn.Conv2d(hidden, hidden, 3, stride, dilation, dilation, hidden)
        self.project = nn.Conv2d(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.widen is None else F.relu6(self.widen(x))
        y = cast(Tensor, self.project(F.relu6(self.filter(y))))
        return x + y if self.residual else y


def _separable(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, 1, dilation, dilation, inputs), nn.Conv2d(inputs, outputs, 1), nn.ReLU()
    )


class DeepLab(nn.Module):
    """RGB ``[B,3,H,W]`` in [-1,1], H and W of the form 16k+1 -> logits ``[B,K,(H-1)/4+1,(W-1)/4+1]``.

    The corners of input and output coincide, so enlarge the logits with ``align_corners=True``. Other sizes are
    accepted, but their logits are displaced by up to 15 pixels towards the right and lower border.
    """

    def __init__(self, classes: int, width: int = 256, atrous: int = 96, detail: int = 48) -> None:
        super().__init__()
        self.settings = {"classes": classes, "width": width, "atrous": atrous, "detail": detail}
        self.stem = nn.Conv2d(3, _STEM, 3, 2, 1)
        blocks, channels = [], _STEM
        for outputs, expansion, stride, dilation in _BLOCKS:
            blocks.append(_Block(channels, outputs, expansion, stride, dilation))
            channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.point = nn.Conv2d(channels, width, 1)
        self.whole = nn.Conv2d(channels, width, 1)
        self.atrous = nn.ModuleList(_separable(channels, atrous, rate) for rate in RATES)
        self.merge = nn.Conv2d(2 * width + len(RATES) * atrous, width, 1)
        self.logits = nn.Conv2d(width, classes, 1)
        self.low = nn.Conv2d(_BLOCKS[_LOW][0], detail, 1)
        self.high = nn.Conv2d(width, detail, 1)
        self.refine = nn.Sequential(
            _separable(2 * detail + classes, detail), _separable(detail, detail), nn.Conv2d(detail, classes, 1)
        )

    def backbone(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features at stride 4 and at stride 16."""
        x = F.relu6(self.stem(x))
        low = x
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i == _LOW:
                low = x
        return low, x

    def forward(self, x: Tensor) -> Tensor:
        return self._decode(*self.backbone(x))[0]

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits, and features of several depths at stride 4, [B,F,h,w], that distinguish one car from
        another.
        """
        kept = []
        x = F.relu6(self.stem(x))
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in (_LOW, *_DEPTHS):
                kept.append(x)
        logits, hidden = self._decode(kept[0], x)
        size = hidden.shape[2:]
        deep = [F.interpolate(k, size, mode="bilinear", align_corners=True) for k in kept[1:]]
        return logits, torch.cat([hidden, kept[0], *deep], 1)

    def _decode(self, low: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features at stride 4 and 16 -> logits at stride 4, and the output of the last hidden layer."""
        whole = F.relu(self.whole(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        branches = [whole, F.relu(self.point(x)), *(branch(x) for branch in self.atrous)]
        x = F.relu(self.merge(torch.cat(branches, 1)))
        coarse = self.logits(x)
        both = torch.cat([coarse, self.high(x)], 1)
        both = F.interpolate(both, low.shape[2:], mode="bilinear", align_corners=True)
        coarse, high = both[:, : coarse.shape[1]], both[:, coarse.shape[1] :]
        hidden = self.refine[:-1](torch.cat([F.relu(self.low(low)), F.relu(high), coarse.softmax(1)], 1))
        return coarse + self.refine[-1](hidden), hidden

    def start_neutral(self) -> None:
        """Make the atrous branches and the decoder contribute nothing at first, so that training starts without them.

        A pretrained network then keeps its results until the new layers have learned to improve on them.
        """
        width = self.settings["width"]
        with torch.no_grad():
            self.merge.weight[:, 2 * width :].zero_()
            last = cast(nn.Conv2d, self.refine[-1])
            last.weight.zero_()
            cast(Tensor, last.bias).zero_()

    def shift(self, offsets: Sequence[float]) -> None:
        """Add a constant to the logit of each class permanently, to calibrate the network after training."""
        with torch.no_grad():
            bias = cast(Tensor, cast(nn.Conv2d, self.refine[-1]).bias)
            bias += torch.tensor(offsets, dtype=bias.dtype, device=bias.device)

    def start_from_scratch(self) -> None:
        """Set random weights that keep the variance of signals without batch norm (He et al. 2015), and start neutral.

        Every residual branch starts small, because the sum of 10 branches would otherwise grow.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(cast(Tensor, module.bias))
        with torch.no_grad():
            for block in self.blocks:
                cast(_Block, block).project.weight.mul_(0.3 if cast(_Block, block).residual else 0.7)
            self.logits.weight.mul_(0.1)
        self.start_neutral()

    def freeze(self, blocks: int) -> None:
        """Exclude the stem and the first ``blocks`` blocks from training (0: train everything)."""
        for i, module in enumerate([self.stem, *self.blocks]):
            module.requires_grad_(not blocks or i > blocks)
