"""Per-pixel conditional instance norm: one pass, in which every layer of the frame has its own statistics and style.

With masks m_l that sum to 1 and styles s_l, a normalized value is y A + B with A = sum_l m_l gamma_l / sigma_l and
B = sum_l m_l (beta_l - gamma_l mu_l / sigma_l). Statistics and style are combined layer by layer before the masks are
applied, because separate sums would give cross terms between layers.

The statistics mu_l and sigma_l are those of the whole frame, painted in the layer's style alone. They do not depend on
the masks, so that what enters a layer does not change the paint of what is there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.style.conditional import EPS, ConditionalConv, ConditionalNetwork

CHUNK = 1 << 12  # pixels that a CPU handles at a time, few enough to stay in its cache


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and variance of the values before one norm, float32 [L,C]: a row for each layer."""

    mean: Tensor
    variance: Tensor

    def toward(self, goal: Statistics, share: float) -> Statistics:
        """These statistics, moved by a share of the way to others."""
        return Statistics(torch.lerp(self.mean, goal.mean, share), torch.lerp(self.variance, goal.variance, share))


def shares(net: ConditionalNetwork, soft: Tensor) -> dict[int, Tensor]:
    """Masks scaled to sum to 1 at every pixel, at each resolution of the network: {h*w: [L,h*w]}.

    soft [1,L,H,W]: the masks of the layers to paint, padded as the frame is; where they sum to less than 1, the rest
    stays original.
    """
    by_size: dict[int, Tensor] = {}
    before = 1
    for scale in net.scales:
        soft = F.avg_pool2d(soft, scale // before) if scale > before else soft
        before = scale
        # 1e-4: far from every painted layer, all of them share the pixel, which composing replaces by the source
        raised = soft[0].flatten(1) + 1e-4
        by_size[raised.shape[1]] = raised.div_(raised.sum(0, keepdim=True))
    return by_size


def coefficients(layer: ConditionalConv, codes: Tensor, found: Statistics) -> tuple[Tensor, Tensor]:
    """A and B [L,C] of each layer, float32, from the styles' codes [L,S] and the layers' statistics."""
    with torch.autocast(codes.device.type, enabled=False):  # half precision is too coarse for them
        normalized, plain = layer.scales(codes)
        scale = normalized / (found.variance + EPS).sqrt()
        return scale + plain, codes.to(layer.beta) @ layer.beta - scale * found.mean


def lay(x: Tensor, share: Tensor | None, scale: Tensor, shift: Tensor) -> Tensor:
    """x [1,C,h,w] times A plus B, with A and B [L,C] weighted by masks [L,h*w] (None: one layer everywhere).

    x may be overwritten. Sums are taken in single precision.
    """
    if share is None:
        # the norm with a mean of 0 and a variance of 1 scales and shifts each channel in one pass, in any precision
        none, one = torch.zeros_like(scale[0]), torch.full_like(scale[0], 1 - EPS)
        return F.batch_norm(x, none, one, scale[0], shift[0], False, 0.0, EPS)
    x = x.contiguous(memory_format=torch.channels_last)
    pixels = flat_pixels(x)
    step = CHUNK if x.device.type == "cpu" else len(pixels)
    with torch.autocast(x.device.type, enabled=False):
        for start in range(0, len(pixels), step):
            part, mask = pixels[start : start + step], share[:, start : start + step].t()
            part.copy_((mask @ scale).mul_(part).addmm_(mask, shift))
    return x


def flat_pixels(x: Tensor) -> Tensor:
    """[1,C,h,w] -> [h*w,C], a view where x is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


class LayerNorm:
    """The norm of one frame (``segnst.style.conditional.Norm``) with statistics that are known.

    codes  [L,S] the mix of styles of each layer
    share  what ``shares`` returns, or None when one layer covers the whole frame
    known  statistics in the order of the norms
    """

    def __init__(self, codes: Tensor, share: dict[int, Tensor] | None, known: Sequence[Statistics]) -> None:
        self.codes, self.share, self.known = codes, share, known
        self.count = 0

    def __call__(self, layer: ConditionalConv, x: Tensor) -> Tensor:
        share = None if self.share is None else self.share[x.shape[-2] * x.shape[-1]]
        laid = lay(x, share, *coefficients(layer, self.codes, self.known[self.count]))
        self.count += 1
        return laid


class OwnNorm:
    """Instance norm in one mix of styles, which collects the statistics in ``found``. code [1,S]"""

    def __init__(self, code: Tensor) -> None:
        self.code = code
        self.found: list[Statistics] = []

    def __call__(self, layer: ConditionalConv, x: Tensor) -> Tensor:
        normalized, plain, shift = self._rows(layer)
        # batch norm of one picture: it measures and applies in two passes, with sums in single precision
        normed, mean, inverse = torch.native_batch_norm(x, normalized[0], shift[0], None, None, True, 0.0, EPS)
        self.found.append(Statistics(mean[None], (inverse.square().reciprocal() - EPS).clamp_min(0)[None]))
        return torch.addcmul(normed, x, plain[0, :, None, None].to(x.dtype)) if layer.identity else normed

    def _rows(self, layer: ConditionalConv) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(self.code.device.type, enabled=False):
            return *layer.scales(self.code), self.code.to(layer.beta) @ layer.beta


Measured = tuple[Tensor, tuple[Statistics, ...]]  # a frame in one mix of styles, and the statistics of its norms


def measure(net: ConditionalNetwork, rgb: Tensor, code: Tensor) -> Measured:
    """Paint the whole frame in one mix of styles and return its statistics too. rgb [1,3,H,W], code [1,S]"""
    norm = OwnNorm(code)
    painted = net.through(rgb.contiguous(memory_format=torch.channels_last), norm)
    return painted, tuple(norm.found)


def paint(
    net: ConditionalNetwork, rgb: Tensor, codes: Tensor, soft: Tensor | None, known: Sequence[Statistics]
) -> Tensor:
    """Paint a frame in one pass, each layer in its own style, with statistics that are known.

    rgb [1,3,H,W] in [0,1]; codes [L,S]; soft [1,L,H,W] masks of the painted layers, or None for one layer everywhere.
    Returns the painted frame (range about [0,1], not clamped).
    """
    norm = LayerNorm(codes, None if soft is None else shares(net, net.framed(soft, "replicate")), known)
    return net.through(rgb.contiguous(memory_format=torch.channels_last), norm)
