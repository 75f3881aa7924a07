"""The painter: a light network for many styles that computes mostly at an eighth and a quarter of the resolution.

A successor of the transformer network of Johnson 2016 (arXiv 1603.08155) with the conditional instance norm of Dumoulin
2017 (arXiv 1610.07629). What differs, and why:

- The picture is folded into blocks of 2x2 pixels first and unfolded last (Shi 2016, arXiv 1609.05158), so that no layer
  runs at full resolution, where a processor spends its time waiting for memory.
- Six residual blocks work at an eighth, where one kernel spans 24 px: strokes of the size that paintings have.
- Two more work at a quarter, and additive skips bring edges of the photo back, so that faces stay readable.
- Downsampling kernels have a side of 4, so that they cover every pixel equally often, and a picture that is shifted by
  a few pixels is painted alike (compare Zhang 2019, arXiv 1904.11486).
- The frame is padded once by reflection. The convolutions inside pad by zeros, which is a third faster than reflecting
  at each of them; their artifacts at the border stay within the margin, which is cropped off.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst.style.conditional import ConditionalConv, ConditionalNetwork, ConditionalResidual, Norm

FOLD = 2  # px a side of the blocks that are folded into channels
GAIN = 0.15  # factor on the last convolution, as in the transformer network
FAINT = 0.3  # initial scale of a residual branch: eight branches at full scale would drown the signal they add to


class Painter(ConditionalNetwork):
    """Paints pictures in any of its styles, or a mix of them.

    styles    number of styles
    width     channels at half the resolution; twice as many at a quarter, four times at an eighth
    eighth, quarter  residual blocks at an eighth and at a quarter of the resolution
    identity  whether the last style repeats the photo (see ``ConditionalConv``)
    """

    architecture = "painter"
    stride = 8
    margin = 16
    scales = (2, 4, 8)
    reach = 144

    def __init__(
        self, styles: int, width: int = 32, eighth: int = 6, quarter: int = 2, *, identity: bool = False
    ) -> None:
        super().__init__(styles, width, identity=identity)
        self.eighth, self.quarter = eighth, quarter

        def layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> ConditionalConv:
            return ConditionalConv(inputs, outputs, kernel, styles, stride, identity=identity, padding_mode="zeros")

        def residual(channels: int) -> ConditionalResidual:
            return ConditionalResidual(channels, styles, identity=identity, padding_mode="zeros", scale=FAINT)

        self.stem = layer(3 * FOLD**2, width, 5)
        self.down1 = layer(width, 2 * width, 4, 2)
        self.down2 = layer(2 * width, 4 * width, 4, 2)
        self.blocks8 = nn.ModuleList(residual(4 * width) for _ in range(eighth))
        self.up1 = layer(4 * width, 2 * width, 1)
        self.skip1 = layer(2 * width, 2 * width, 1)
        self.blocks4 = nn.ModuleList(residual(2 * width) for _ in range(quarter))
        self.up2 = layer(2 * width, width, 1)
        self.skip2 = layer(width, width, 1)
        self.fine = layer(width, width, 3)
        self.out = nn.Conv2d(width, 3 * FOLD**2, 5, padding=2)
        for module in self.modules():
            if isinstance(module, ConditionalConv):
                nn.init.kaiming_normal_(module.conv.weight, nonlinearity="relu")
        self._even_start()

    @torch.no_grad()
    def _even_start(self) -> None:
        """Initialize the four pixels of a block alike, without a checkerboard (Aitken 2017, arXiv 1707.02937)."""
        first = self.out.weight[:: FOLD**2].repeat_interleave(FOLD**2, 0)
        self.out.weight.copy_(first)
        if self.out.bias is not None:
            self.out.bias.zero_()

    def through_framed(self, rgb: Tensor, norm: Norm) -> Tensor:
        x = F.pixel_unshuffle(rgb * 2 - 1, FOLD).contiguous(memory_format=torch.channels_last)
        half = F.relu(self.stem(x, norm))
        quarter = F.relu(self.down1(half, norm))
        x = F.relu(self.down2(quarter, norm))
        for block in self.blocks8:
            x = block(x, norm)
        x = F.relu(_twice(self.up1(x, norm)) + self.skip1(quarter, norm))
        for block in self.blocks4:
            x = block(x, norm)
        x = F.relu(_twice(self.up2(x, norm)) + self.skip2(half, norm))
        x = F.relu(self.fine(x, norm))
        return F.pixel_shuffle(0.5 + GAIN * self.out(x), FOLD)


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
