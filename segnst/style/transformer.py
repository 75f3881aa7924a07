"""The transformer network of Johnson, Alahi, Fei-Fei 2016 (arXiv 1603.08155) with instance normalization
(Ulyanov 2016, arXiv 1607.08022) and resize-convolution instead of transposed convolution (Odena 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from segnst.errors import WeightsError
from segnst.pixels import pad_to_multiple
from segnst.style.limits import MOST_BLOCKS, MOST_WIDTH

if TYPE_CHECKING:
    from segnst.style.conditional import ConditionalTransformer

STRIDE = 4
SMALLEST = 16  # px; smaller frames leave the inner layers too few pixels for reflection padding
Apply = Callable[[nn.Module, Tensor], Tensor]  # applies a layer to [B,C,H,W]
# A factor on the last convolution. Adam moves all of its 2,592 weights at once; without the factor, one step can change
# a pixel by half its range.
GAIN = 0.15


def width_of(tensors: Mapping[str, Tensor], first: str, kernel: tuple[int, ...] = (3, 9, 9)) -> int:
    """Channels of the first layer, by its weight [width, *kernel] in a file. Raises WeightsError."""
    weight = tensors.get(first)
    if weight is None or weight.ndim != 4 or weight.shape[1:] != kernel or not 1 <= len(weight) <= MOST_WIDTH:
        shape = ",".join(map(str, kernel))
        raise WeightsError(f"{first} should be [width,{shape}] with a width of at most {MOST_WIDTH}.")
    return int(weight.shape[0])


def check_blocks(blocks: int) -> int:
    """The number of residual blocks in a file. Raises WeightsError where it is more than any network needs."""
    if blocks > MOST_BLOCKS:
        raise WeightsError(f"it has {blocks} residual blocks; more than {MOST_BLOCKS} are not read")
    return blocks


def down_of(tensors: Mapping[str, Tensor]) -> int:
    """Side of the downsampling kernels in a checkpoint of segnst. Raises WeightsError."""
    weight = tensors.get("conv2.conv.weight")
    if weight is None or weight.ndim != 4 or weight.shape[-1] not in range(1, 32, 2):
        raise WeightsError("conv2.conv.weight should be [channels,channels,side,side] with an odd side")
    return int(weight.shape[-1])


class ConvNorm(nn.Module):
    """Reflection-padded convolution, instance norm with scale and shift."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        # no bias, because the normalization would remove it
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect", bias=False)
        self.norm = nn.InstanceNorm2d(outputs, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.conv(x))
        return normed


class Residual(nn.Module):
    """Residual block of two convolutions (He 2015), without a rectifier after the sum (Gross & Wilber 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3)
        self.second = ConvNorm(channels, channels, 3)


def paint_through(
    trunk: TransformerNetwork | ConditionalTransformer, rgb: Tensor, apply: Apply, upsampling: str = "bilinear"
) -> Tensor:
    """The forward pass of a transformer network, for one style as for many.

    rgb [B,3,H,W] in [0,1], H and W multiples of ``STRIDE`` -> painted, the same shape, range about [0,1].
    apply  computes one layer, its convolution and its norm
    """
    x = rgb * 2 - 1
    for down in (trunk.conv1, trunk.conv2, trunk.conv3):
        x = F.relu_(apply(down, x))
    for block in trunk.residuals.children():
        x = x + apply(block.second, F.relu_(apply(block.first, x)))  # type: ignore[arg-type]
    for up in (trunk.up1, trunk.up2):
        x = F.relu_(apply(up, F.interpolate(x, scale_factor=2.0, mode=upsampling)))
    painted: Tensor = 0.5 + GAIN * trunk.out(x)
    return painted


class TransformerNetwork(nn.Module):
    """Paints a picture in one style: RGB [B,3,H,W] in [0,1] -> the same shape, range about [0,1].

    The output is not clamped: a bounded output, such as the paper's tanh, stops learning where it is black or white.

    width   channels of the first layer (32 in the paper; 2x and 4x of it deeper)
    blocks  residual blocks (5 in the paper)
    down    side of the downsampling kernels. 3, as in the paper, is too small to filter before subsampling, so that
            paint jumps when the picture moves by a pixel or two; 5 has room to learn a blur (Zhang 2019, arXiv
            1904.11486), and paint moves along.
    upsampling  "bilinear", or "nearest" for checkpoints from elsewhere. Nearest leaves a grid of 4 px in smooth areas,
            even in networks that were trained with it; bilinear removes the grid from those as well.
    Any H, W >= 16: sides that are no multiple of 4 are padded by reflection and cropped back.
    """

    def __init__(self, width: int = 32, blocks: int = 5, upsampling: str = "bilinear", down: int = 3) -> None:
        super().__init__()
        self.width, self.blocks, self.upsampling, self.down = width, blocks, upsampling, down
        self.conv1 = ConvNorm(3, width, 9)
        self.conv2 = ConvNorm(width, 2 * width, down, 2)
        self.conv3 = ConvNorm(2 * width, 4 * width, down, 2)
        self.residuals = nn.Sequential(*(Residual(4 * width) for _ in range(blocks)))
        self.up1 = ConvNorm(4 * width, 2 * width, 3)
        self.up2 = ConvNorm(2 * width, width, 3)
        self.out = nn.Conv2d(width, 3, 9, padding=4, padding_mode="reflect")

    def forward(self, rgb: Tensor) -> Tensor:
        height, width = rgb.shape[-2:]
        if min(height, width) < SMALLEST:
            raise ValueError(f"frames must be at least {SMALLEST} px on each side, got {width}x{height}")
        painted = paint_through(self, pad_to_multiple(rgb, STRIDE), lambda layer, x: layer(x), self.upsampling)
        return painted[..., :height, :width]
