"""Per-pixel conditional instance norm: one pass, in which every layer of the frame has its own statistics and style.

With soft masks m_l and styles s_l, a normalized value is y A + B with A = sum_l m_l gamma_l / sigma_l and
B = sum_l m_l (beta_l - gamma_l mu_l / sigma_l). Statistics and style are combined layer by layer before the masks are
applied, because separate sums would give cross terms between layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.style.conditional import ConditionalConv, ConditionalNetwork

EPS = 1e-5  # of instance norm
# A pseudo-count, as a share of the frame: every layer's statistics include the frame's with this weight, so that those
# of small layers are usable.
FEW = 0.02
MEMORY = 0.8  # share of the past in a layer's statistics, so that colors do not jump when a mask grows
CHUNK = 1 << 14  # pixels handled at a time, few enough to stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Moments:
    """Weighted sums behind the statistics of one norm: weight [L+1], first and second moment [L+1,C].

    All are divided by the number of pixels in the frame. The last row is for the whole frame.
    """

    weight: Tensor
    first: Tensor
    second: Tensor

    def blend(self, past: Moments) -> Moments:
        """The running mean: these moments, with the share ``MEMORY`` of the past ones."""
        pairs = ((self.weight, past.weight), (self.first, past.first), (self.second, past.second))
        return Moments(*(now + MEMORY * (then - now) for now, then in pairs))

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [L,C], mixed with the frame's for small layers; empty layers get the frame's."""
        weight = self.weight[:-1, None] + FEW
        mean = (self.first[:-1] + FEW * self.first[-1]) / weight
        square = (self.second[:-1] + FEW * self.second[-1]) / weight
        return mean, (square - mean.square()).clamp_min(0).add(EPS).sqrt()


@dataclass(frozen=True, slots=True)
class PaintedMasks:
    """Layer masks at each resolution of the network, keyed by the number of pixels: {h*w: [L,h*w]}.

    soft   the masks as given, for the statistics
    share  the masks scaled to sum to 1 over the painted layers at every pixel, for the styles
    """

    soft: dict[int, Tensor]
    share: dict[int, Tensor]


def painted_masks(net: ConditionalNetwork, soft: Tensor) -> PaintedMasks:
    """soft [1,L,H,W]: the masks of the layers to paint; where they sum to less than 1, the rest stays original."""
    soft = net.framed(soft, "replicate")
    by_size: tuple[dict[int, Tensor], dict[int, Tensor]] = ({}, {})
    before = 1
    for scale in net.scales:
        soft = F.avg_pool2d(soft, scale // before) if scale > before else soft
        before = scale
        flat = soft[0].flatten(1)
        by_size[0][flat.shape[1]] = flat
        # 1e-4: far from every painted layer, all of them share the pixel, which composing replaces by the source
        raised = flat + 1e-4
        by_size[1][flat.shape[1]] = raised.div_(raised.sum(0, keepdim=True))
    return PaintedMasks(*by_size)


def moments(pixels: Tensor, soft: Tensor | None) -> Moments:
    """Moments of pixels [N,C] under masks [L,N] (None: one layer, everywhere), all float32."""
    exact = torch.float32 if pixels.device.type == "mps" else torch.float64
    layers = 1 if soft is None else len(soft)
    total = torch.zeros(2, layers + 1, pixels.shape[1], dtype=exact, device=pixels.device)
    weight = torch.ones(layers + 1, dtype=exact, device=pixels.device)
    # the last row, for the whole frame, has a mask of ones
    masks = None if soft is None else torch.cat((soft, soft.new_ones(1, len(pixels))))
    for start in range(0, len(pixels), CHUNK):
        part = pixels[start : start + CHUNK]
        square = part.square()
        if masks is None:
            total += torch.stack((part.sum(0), square.sum(0)))[:, None]
        else:
            mask = masks[:, start : start + CHUNK]
            total += torch.stack((mask @ part, mask @ square))
    if soft is not None:
        weight[:-1] = soft.mean(1, dtype=exact)
    return Moments(weight, total[0] / len(pixels), total[1] / len(pixels))


def coefficients(layer: ConditionalConv, codes: Tensor, found: Moments) -> tuple[Tensor, Tensor]:
    """A and B [L,C] of each layer, from the styles' codes [L,S] and the layers' moments."""
    mean, deviation = (s.to(layer.gamma) for s in found.statistics())
    normalized, plain = layer.scales(codes)
    scale = normalized / deviation
    return scale + plain, codes.to(layer.beta) @ layer.beta - scale * mean


def lay(pixels: Tensor, share: Tensor | None, scale: Tensor, shift: Tensor) -> None:
    """pixels [N,C] <- pixels * A + B in place, with A and B [L,C] weighted by masks [L,N] (None: one layer)."""
    if share is None:
        pixels.mul_(scale[0]).add_(shift[0])
        return
    for start in range(0, len(pixels), CHUNK):
        part = pixels[start : start + CHUNK]
        mask = share[:, start : start + CHUNK].t()
        part.mul_(mask @ scale).addmm_(mask, shift)


def flat_pixels(x: Tensor) -> Tensor:
    """[1,C,h,w] -> [h*w,C], a view where x is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


class LayerNorm:
    """The norm of one frame (``segnst.style.conditional.Norm``); ``found`` collects the moments for the next frame.

    codes  [L,S] the mix of styles of each layer
    masks  None when one layer covers the whole frame
    past   moments of the last frame, in the order of the norms
    fixed  normalize with ``past`` and measure nothing: for tiles of a larger picture
    """

    def __init__(
        self, codes: Tensor, masks: PaintedMasks | None, past: tuple[Moments, ...] | None, *, fixed: bool = False
    ) -> None:
        self.codes, self.masks, self.past, self.fixed = codes, masks, past, fixed
        self.found: list[Moments] = []

    def __call__(self, layer: ConditionalConv, x: Tensor) -> Tensor:
        x = x.float().contiguous(memory_format=torch.channels_last)  # half precision is too coarse for sums
        pixels = flat_pixels(x)
        soft = self.masks.soft[len(pixels)] if self.masks else None
        share = self.masks.share[len(pixels)] if self.masks else None
        if self.fixed and self.past is not None:
            now = self.past[len(self.found)]
        else:
            now = moments(pixels, soft)
            if self.past is not None:
                now = now.blend(self.past[len(self.found)])
        self.found.append(now)
        lay(pixels, share, *coefficients(layer, self.codes, now))
        return x


def paint_layers(
    net: ConditionalNetwork,
    rgb: Tensor,
    codes: Tensor,
    soft: Tensor | None,
    past: tuple[Moments, ...] | None = None,
) -> tuple[Tensor, tuple[Moments, ...]]:
    """Paint one frame in one pass, each layer in its own style.

    rgb [1,3,H,W] in [0,1]; codes [L,S]; soft [1,L,H,W] masks of the painted layers, or None for one layer
    everywhere. Returns the painted frame (range about [0,1], not clamped) and the moments for the next frame.
    """
    norm = LayerNorm(codes, None if soft is None else painted_masks(net, soft), past)
    painted = net.through(rgb.contiguous(memory_format=torch.channels_last), norm)
    return painted, tuple(norm.found)
