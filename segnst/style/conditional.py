"""One transformer network for many styles: conditional instance normalization.

Dumoulin, Shlens, Kudlur 2017 (arXiv 1610.07629): the convolutions are common to all styles, each style owns only
the scale and shift of every normalization. The trunk is that of ``TransformerNetwork``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst.pixels import pad_to_multiple
from segnst.style.transformer import GAIN, SMALLEST, STRIDE, TransformerNetwork

IDENTITY = "identity"  # the style that repeats the photo; weaker strengths lean on it

# norm(layer, convolved [B,C,h,w]) -> normalized, scaled, shifted [B,C,h,w]
Norm = Callable[["ConditionalConv", Tensor], Tensor]


class ConditionalConv(nn.Module):
    """Reflection-padded convolution and, for each style, the scale and shift of the norm behind it.

    gamma, beta  [S,C]
    identity  whether the last style scales and shifts what was convolved as it is: normalizing takes a photo's own
    colors and contrast away for good, and no scale brings them back
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, styles: int, stride: int = 1, *, identity: bool = False
    ) -> None:
        super().__init__()
        self.identity = identity
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect", bias=False)
        self.gamma = nn.Parameter(torch.ones(styles, outputs))
        self.beta = nn.Parameter(torch.zeros(styles, outputs))

    def forward(self, x: Tensor, norm: Norm) -> Tensor:
        """[B,I,H,W] -> convolved and normalized, [B,C,h,w]"""
        return norm(self, self.conv(x))

    def scales(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What the codes [B,S] multiply the normalized and the plain values with, two of [B,C]."""
        codes = codes.to(self.gamma)
        if not self.identity:
            return codes @ self.gamma, codes.new_zeros(len(codes), 1)
        return codes[:, :-1] @ self.gamma[:-1], codes[:, -1:] * self.gamma[-1]


class ConditionalResidual(nn.Module):
    """Two convolutions beside an identity, as in ``TransformerNetwork``."""

    def __init__(self, channels: int, styles: int, *, identity: bool = False) -> None:
        super().__init__()
        self.first = ConditionalConv(channels, channels, 3, styles, identity=identity)
        self.second = ConditionalConv(channels, channels, 3, styles, identity=identity)

    def forward(self, x: Tensor, norm: Norm) -> Tensor:
        """[B,C,h,w] -> the same shape"""
        out: Tensor = x + self.second(F.relu_(self.first(x, norm)), norm)
        return out


class ConditionalTransformer(nn.Module):
    """Paints pictures in any of its styles, or a mix of them.

    styles   how many; width, blocks, down  as in ``TransformerNetwork``
    identity  whether the last style is one that repeats the photo (see ``ConditionalConv``)
    """

    def __init__(self, styles: int, width: int = 32, blocks: int = 5, *, identity: bool = False, down: int = 3) -> None:
        super().__init__()
        self.styles, self.width, self.blocks, self.identity, self.down = styles, width, blocks, identity, down
        self.conv1 = ConditionalConv(3, width, 9, styles, identity=identity)
        self.conv2 = ConditionalConv(width, 2 * width, down, styles, 2, identity=identity)
        self.conv3 = ConditionalConv(2 * width, 4 * width, down, styles, 2, identity=identity)
        self.residuals = nn.ModuleList(ConditionalResidual(4 * width, styles, identity=identity) for _ in range(blocks))
        self.up1 = ConditionalConv(4 * width, 2 * width, 3, styles, identity=identity)
        self.up2 = ConditionalConv(2 * width, width, 3, styles, identity=identity)
        self.out = nn.Conv2d(width, 3, 9, padding=4, padding_mode="reflect")

    def blocks_in_order(self) -> Iterator[ConditionalResidual]:
        for block in self.residuals:
            if isinstance(block, ConditionalResidual):
                yield block

    def through(self, rgb: Tensor, norm: Norm) -> Tensor:
        """RGB [B,3,H,W] in [0,1], H and W >= 16 -> painted, the same shape, range about [0,1] (not clamped).

        norm  is asked after every convolution: how statistics are taken and styles laid over the picture
        is its business.
        """
        height, width = rgb.shape[-2:]
        if min(height, width) < SMALLEST:
            raise ValueError(f"frames must be at least {SMALLEST} px on each side, got {width}x{height}")
        x = pad_to_multiple(rgb, STRIDE) * 2 - 1
        for down in (self.conv1, self.conv2, self.conv3):
            x = F.relu_(down(x, norm))
        for block in self.blocks_in_order():
            x = block(x, norm)
        for up in (self.up1, self.up2):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
            x = F.relu_(up(x, norm))
        painted: Tensor = 0.5 + GAIN * self.out(x)
        return painted[..., :height, :width]

    @torch.no_grad()
    def settle_identity(self, photos: Tensor) -> None:
        """Begin the identity as the mean of all styles, normalized by the mean statistics of photos [B,3,H,W] instead
        of each picture's own: activations keep their size, so that it can learn."""

        def norm(layer: ConditionalConv, x: Tensor) -> Tensor:
            mean, deviation = x.mean((0, 2, 3)), x.std((2, 3)).mean(0) + 1e-5
            layer.gamma[-1] = layer.gamma[:-1].mean(0) / deviation
            layer.beta[-1] = layer.beta[:-1].mean(0) - layer.gamma[-1] * mean
            return torch.addcmul(layer.beta[-1, :, None, None], x, layer.gamma[-1, :, None, None])

        self.through(photos, norm)

    def forward(self, rgb: Tensor, code: Tensor) -> Tensor:
        """Each picture in its own mix of styles: rgb [B,3,H,W], code [B,S] with rows that sum to 1."""

        def norm(layer: ConditionalConv, x: Tensor) -> Tensor:
            normalized, plain = (scale[..., None, None] for scale in layer.scales(code))
            laid = torch.addcmul((code @ layer.beta)[..., None, None], F.instance_norm(x), normalized)
            return torch.addcmul(laid, x, plain) if layer.identity else laid

        return self.through(rgb, norm)


@torch.no_grad()
def widened(net: ConditionalTransformer, down: int) -> ConditionalTransformer:
    """A network whose kernels that halve the picture have the side ``down``, at least that of ``net``: each is that of
    ``net`` behind a binomial blur."""
    result = ConditionalTransformer(net.styles, net.width, net.blocks, identity=net.identity, down=down)
    state = net.state_dict()
    for key in ("conv2.conv.weight", "conv3.conv.weight"):
        for _ in range((down - net.down) // 2):
            taps = state[key].new_tensor((0.25, 0.5, 0.25))
            blur = (taps[:, None] * taps)[None, None]
            kernels = state[key].flatten(0, 1)[:, None]
            state[key] = F.conv2d(kernels, blur, padding=2).view(
                *state[key].shape[:2], *(s + 2 for s in kernels.shape[2:])
            )
    result.load_state_dict(state)
    return result


def _layers(blocks: int) -> list[str]:
    residuals = [f"residuals.{k}.{part}" for k in range(blocks) for part in ("first", "second")]
    return ["conv1", "conv2", "conv3", *residuals, "up1", "up2"]


def from_single(net: TransformerNetwork, styles: int, *, identity: bool = False) -> ConditionalTransformer:
    """A collection whose styles all begin as the one of a single-style network."""
    result = ConditionalTransformer(styles, net.width, net.blocks, identity=identity, down=net.down)
    source, state = net.state_dict(), result.state_dict()
    for name in _layers(net.blocks):
        state[f"{name}.conv.weight"] = source[f"{name}.conv.weight"]
        state[f"{name}.gamma"] = source[f"{name}.norm.weight"].expand(styles, -1).clone()
        state[f"{name}.beta"] = source[f"{name}.norm.bias"].expand(styles, -1).clone()
    state["out.weight"], state["out.bias"] = source["out.weight"], source["out.bias"]
    result.load_state_dict(state)
    return result


def to_single(net: ConditionalTransformer, code: Tensor | Sequence[float]) -> TransformerNetwork:
    """The single-style network that paints as ``net`` does with the code [S], which has no share of the identity."""
    mix = torch.as_tensor(code, dtype=torch.float32)
    result = TransformerNetwork(net.width, net.blocks, down=net.down)
    source, state = net.state_dict(), result.state_dict()
    for name in _layers(net.blocks):
        state[f"{name}.conv.weight"] = source[f"{name}.conv.weight"]
        state[f"{name}.norm.weight"] = mix.to(source[f"{name}.gamma"]) @ source[f"{name}.gamma"]
        state[f"{name}.norm.bias"] = mix.to(source[f"{name}.beta"]) @ source[f"{name}.beta"]
    state["out.weight"], state["out.bias"] = source["out.weight"], source["out.bias"]
    result.load_state_dict(state)
    return result
