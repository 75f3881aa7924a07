"""One transformer network for many styles: conditional instance normalization.

Dumoulin, Shlens, Kudlur 2017 (arXiv 1610.07629): all styles share the convolutions; each style has only its own scale
and shift in every normalization. The trunk is that of ``TransformerNetwork``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst.style.transformer import SMALLEST, STRIDE, TransformerNetwork, paint_through

IDENTITY = "identity"  # the style that repeats the photo; strengths below 1 mix it in

EPS = 1e-5  # of instance norm
# norm(layer, convolved [B,C,h,w]) -> normalized, scaled, shifted [B,C,h,w]
Norm = Callable[["ConditionalConv", Tensor], Tensor]


def instance_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Instance norm of [B,C,H,W] with a scale and a shift [B,C] for each picture."""
    if x.device.type != "cpu":
        return torch.addcmul(shift[..., None, None], F.instance_norm(x), scale[..., None, None])
    # On a CPU, F.instance_norm would change the order of dimensions in memory, and each convolution would change it
    # back. The batch norm of one picture is the same and keeps the order.
    exact = torch.promote_types(x.dtype, torch.float32)
    scale, shift = scale.to(exact), shift.to(exact)
    one = [F.batch_norm(x[k : k + 1], None, None, scale[k], shift[k], True, 0.0, EPS) for k in range(len(x))]
    return one[0] if len(one) == 1 else torch.cat(one)


class ConditionalConv(nn.Module):
    """A padded convolution, and the scale and shift that each style has in the normalization after it.

    gamma, beta  [S,C]
    identity     whether the last style scales and shifts the values without normalizing them. That style has to repeat
                 the photo, whose colors and contrast are lost in a normalization.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        styles: int,
        stride: int = 1,
        *,
        identity: bool = False,
        padding_mode: Literal["zeros", "reflect"] = "reflect",
    ) -> None:
        super().__init__()
        self.identity = identity
        padding = (kernel - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, padding_mode=padding_mode, bias=False)
        self.gamma = nn.Parameter(torch.ones(styles, outputs))
        self.beta = nn.Parameter(torch.zeros(styles, outputs))

    def forward(self, x: Tensor, norm: Norm) -> Tensor:
        """[B,I,H,W] -> convolved and normalized, [B,C,h,w]"""
        return norm(self, self.conv(x))

    def scales(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The factors [B,C] that codes [B,S] give to the normalized and to the unnormalized values.

        Without an identity style, the latter are zeros [B,1].
        """
        codes = codes.to(self.gamma)
        if not self.identity:
            return codes @ self.gamma, codes.new_zeros(len(codes), 1)
        return codes[:, :-1] @ self.gamma[:-1], codes[:, -1:] * self.gamma[-1]


class ConditionalResidual(nn.Module):
    """Residual block as in ``TransformerNetwork``; ``scale`` is the initial scale of its second norm."""

    def __init__(
        self,
        channels: int,
        styles: int,
        *,
        identity: bool = False,
        padding_mode: Literal["zeros", "reflect"] = "reflect",
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.first = ConditionalConv(channels, channels, 3, styles, identity=identity, padding_mode=padding_mode)
        self.second = ConditionalConv(channels, channels, 3, styles, identity=identity, padding_mode=padding_mode)
        nn.init.constant_(self.second.gamma, scale)

    def forward(self, x: Tensor, norm: Norm) -> Tensor:
        """[B,C,h,w] -> the same shape"""
        out: Tensor = x + self.second(F.relu_(self.first(x, norm)), norm)
        return out


class ConditionalNetwork(nn.Module, ABC):
    """Base class of the networks that paint in many styles by conditional normalization.

    styles    number of styles; with ``identity`` the last of them repeats the photo
    width     channels of the first layer

    Each subclass states how a frame is padded: ``margin`` px are added by reflection on every side, then as many at
    the right and the bottom as make each side a multiple of ``stride``. ``scales`` are the factors by which the
    normalized feature maps are smaller than the padded frame. ``reach`` is how far the receptive field extends to each
    side, in px, rounded up to a multiple of ``stride``.
    """

    architecture: str  # as files call it
    stride: int
    margin: int
    scales: tuple[int, ...]
    reach: int

    def __init__(self, styles: int, width: int, *, identity: bool) -> None:
        super().__init__()
        self.styles, self.width, self.identity = styles, width, identity

    @abstractmethod
    def through_framed(self, rgb: Tensor, norm: Norm) -> Tensor:
        """The padded picture [B,3,H,W] in [0,1] -> painted, the same shape, range about [0,1]."""

    def framed(self, x: Tensor, mode: str = "reflect") -> Tensor:
        """A picture or masks [B,C,H,W], padded as the network needs it."""
        height, width = x.shape[-2:]
        m = self.margin
        return F.pad(x, (m, m + (-width - 2 * m) % self.stride, m, m + (-height - 2 * m) % self.stride), mode=mode)

    def through(self, rgb: Tensor, norm: Norm) -> Tensor:
        """RGB [B,3,H,W] in [0,1] -> painted, the same shape, range about [0,1] (not clamped).

        norm  called after every convolution; it measures the statistics and applies the styles
        Raises ValueError for pictures that are too small to be padded by reflection.
        """
        height, width = rgb.shape[-2:]
        if min(height, width) < self.smallest:
            raise ValueError(f"frames must be at least {self.smallest} px on each side, got {width}x{height}")
        return self.unframed(self.through_framed(self.framed(rgb), norm), rgb)

    def unframed(self, painted: Tensor, rgb: Tensor) -> Tensor:
        """Remove from a painted picture what ``framed`` has added to ``rgb``."""
        height, width = rgb.shape[-2:]
        return painted[..., self.margin : self.margin + height, self.margin : self.margin + width]

    @property
    def smallest(self) -> int:
        """The smallest height and width of a picture in px: reflection needs at least as many pixels as it adds."""
        return max(SMALLEST, self.margin + self.stride)

    def norms(self) -> Iterator[tuple[str, ConditionalConv]]:
        """All layers that a style scales and shifts, with their names, in the order that files keep."""
        for name, module in self.named_modules():
            if isinstance(module, ConditionalConv):
                yield name, module

    @torch.no_grad()
    def settle_identity(self, photos: Tensor) -> None:
        """Initialize the identity style as the mean of all other styles.

        The identity does not normalize, so the mean statistics of the photos [B,3,H,W] are folded into its scales and
        shifts. Its activations then have the usual size, and it can be trained from there.
        """

        def norm(layer: ConditionalConv, x: Tensor) -> Tensor:
            mean, deviation = x.mean((0, 2, 3)), x.std((2, 3)).mean(0) + 1e-5
            layer.gamma[-1] = layer.gamma[:-1].mean(0) / deviation
            layer.beta[-1] = layer.beta[:-1].mean(0) - layer.gamma[-1] * mean
            return torch.addcmul(layer.beta[-1, :, None, None], x, layer.gamma[-1, :, None, None])

        self.through(photos, norm)

    def rows(self) -> Tensor:
        """The parameters of each style, [S,R]: scale and shift of every norm, in the order of ``norms``."""
        return torch.cat([part for _, layer in self.norms() for part in (layer.gamma, layer.beta)], 1)

    def split_rows(self, rows: Tensor) -> Iterator[tuple[ConditionalConv, Tensor, Tensor]]:
        """Each layer with the scales and the shifts [B,C] that rows [B,R] hold for it."""
        layers = [layer for _, layer in self.norms()]
        sizes = [n for layer in layers for n in (layer.gamma.shape[1], layer.beta.shape[1])]
        parts = iter(rows.split(sizes, 1))  # type: ignore[no-untyped-call]
        for layer in layers:
            yield layer, next(parts), next(parts)

    def painted_by(self, rgb: Tensor, rows: Tensor) -> Tensor:
        """Paint each picture by its own row: rgb [B,3,H,W], rows [B,R] of styles that are not the identity."""
        mine = {id(layer): (scale, shift) for layer, scale, shift in self.split_rows(rows)}

        def norm(layer: ConditionalConv, x: Tensor) -> Tensor:
            return instance_norm(x, *mine[id(layer)])

        return self.through(rgb, norm)

    def forward(self, rgb: Tensor, code: Tensor) -> Tensor:
        """Paint each picture in its own mix of styles: rgb [B,3,H,W], code [B,S] with rows that sum to 1."""

        plainly = self.identity and bool(code[:, -1].any())

        def norm(layer: ConditionalConv, x: Tensor) -> Tensor:
            normalized, plain = layer.scales(code)
            laid = instance_norm(x, normalized, code @ layer.beta)
            return torch.addcmul(laid, x, plain[..., None, None]) if plainly else laid

        return self.through(rgb, norm)


class OneStyle(nn.Module):
    """A network of many styles, fixed to one mix of them: RGB [B,3,H,W] in [0,1] -> painted.

    code  [S] the mix
    """

    code: Tensor

    def __init__(self, net: ConditionalNetwork, code: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("code", code)

    def forward(self, rgb: Tensor) -> Tensor:
        painted: Tensor = self.net(rgb, self.code.expand(len(rgb), -1))
        return painted


class ConditionalTransformer(ConditionalNetwork):
    """Paints pictures in any of its styles, or a mix of them.

    styles               number of styles
    width, blocks, down  as in ``TransformerNetwork``
    identity             whether the last style repeats the photo (see ``ConditionalConv``)
    """

    architecture = "transformer"
    stride = STRIDE
    margin = 0
    scales = (1, 2, STRIDE)
    reach = 72

    def __init__(self, styles: int, width: int = 32, blocks: int = 5, *, identity: bool = False, down: int = 3) -> None:
        super().__init__(styles, width, identity=identity)
        self.blocks, self.down = blocks, down
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

    def through_framed(self, rgb: Tensor, norm: Norm) -> Tensor:
        return paint_through(self, rgb, lambda layer, x: layer(x, norm))


@torch.no_grad()
def widened(net: ConditionalTransformer, down: int) -> ConditionalTransformer:
    """A copy of ``net`` with downsampling kernels of side ``down``, which is at least that of ``net``.

    Each new kernel is the old one, convolved with a binomial blur.
    """
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
    """A network of many styles, each initialized as the style of a single-style network."""
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
    """The single-style network that paints as ``net`` does with the code [S].

    The code must not contain the identity, which no single-style network can express.
    """
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
