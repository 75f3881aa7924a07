"""The pass of ``segnst.style.layer_norm.paint`` as a module of tensors, for engines that compile networks.

It computes the same, without the loops over pieces of a frame that are made for torch. Styles, statistics and masks are
inputs, so that one compiled network serves every plan with the same number of layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segnst.engines.base import Engine, Program
from segnst.style.conditional import ConditionalConv, ConditionalNetwork
from segnst.style.layer_norm import Statistics, coefficients


class LayerGraph(nn.Module):
    """A network of many styles, and the per-layer norms between its convolutions."""

    def __init__(self, net: ConditionalNetwork) -> None:
        super().__init__()
        self.net = net
        self.channels = [layer.gamma.shape[1] for _, layer in net.norms()]

    def forward(self, rgb: Tensor, scale: Tensor, shift: Tensor, soft: Tensor | None = None) -> Tensor:
        """Paint a frame.

        rgb     [1,3,H,W] in [0,1], padded as the network needs it (``framed``)
        scale, shift  [L,N] of all N channels of all norms, in their order, for each layer
        soft    [1,L,H,W] masks of the layers, padded in the same way, or None for one layer everywhere
        """
        masks = self._shares(soft)
        widths = [int(mask.shape[-1]) for mask in masks]
        ends = iter(self.channels)
        begin = 0

        def norm(layer: ConditionalConv, x: Tensor) -> Tensor:
            nonlocal begin
            end = begin + next(ends)
            factors, addends = scale[:, begin:end, None, None], shift[:, begin:end, None, None]
            begin = end
            if not masks:
                return x * factors[:1] + addends[:1]
            mask = masks[widths.index(int(x.shape[-1]))]
            parts = [mask[:, k : k + 1] for k in range(mask.shape[1])]
            factor = sum((part * factors[k : k + 1] for k, part in enumerate(parts)), torch.zeros_like(parts[0]))
            addend = sum((part * addends[k : k + 1] for k, part in enumerate(parts)), torch.zeros_like(parts[0]))
            return x * factor + addend

        return self.net.through_framed(rgb, norm)

    def _shares(self, soft: Tensor | None) -> list[Tensor]:
        """Masks [1,L,h,w] that sum to 1, at each scale of the network, as ``shares`` has them."""
        if soft is None:
            return []
        found, before = [], 1
        for scale in self.net.scales:
            soft = F.avg_pool2d(soft, scale // before) if scale > before else soft
            before = scale
            raised = soft + 1e-4
            found.append(raised / raised.sum(1, keepdim=True))
        return found


class CompiledPaint:
    """``segnst.style.layer_norm.paint`` of one network on an engine that compiles networks."""

    def __init__(self, net: ConditionalNetwork, engine: Engine) -> None:
        self.net = net
        # a program compiles for its kind of inputs, and a single layer has no masks
        self._alone: Program = engine.prepare(LayerGraph(net))
        self._masked: Program = engine.prepare(LayerGraph(net))
        self._last: tuple[Tensor, Sequence[Statistics], tuple[Tensor, Tensor]] | None = None

    def __call__(
        self, net: ConditionalNetwork, rgb: Tensor, codes: Tensor, soft: Tensor | None, known: Sequence[Statistics]
    ) -> Tensor:
        """Paint one frame; arguments and result are those of ``paint``. Raises ValueError for another network."""
        if net is not self.net:
            raise ValueError("the engine has prepared another network")
        scale, shift = self._coefficients(codes, known)
        if soft is None:
            (painted,) = self._alone(net.framed(rgb), scale, shift)
        else:
            (painted,) = self._masked(net.framed(rgb), scale, shift, net.framed(soft, "replicate"))
        return net.unframed(painted, rgb)

    def _coefficients(self, codes: Tensor, known: Sequence[Statistics]) -> tuple[Tensor, Tensor]:
        """Scale and shift [L,N] of all norms. Within a scene they seldom change, so the last ones are kept."""
        if self._last is not None and self._last[1] is known and torch.equal(self._last[0], codes):
            return self._last[2]
        pairs = [coefficients(layer, codes, one) for (_, layer), one in zip(self.net.norms(), known, strict=True)]
        found = torch.cat([scale for scale, _ in pairs], 1), torch.cat([shift for _, shift in pairs], 1)
        self._last = (codes, known, found)
        return found
