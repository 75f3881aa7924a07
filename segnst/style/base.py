"""What paints a frame, and the stylizer with one network a style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from segnst.device import fast_dtype
from segnst.errors import UsageError
from segnst.plan import ORIGINAL, Plan
from segnst.style.transformer import SMALLEST
from segnst.types import LayerMasks

UNSEEN = 1 / 512  # a layer whose mask stays below this nowhere changes an 8-bit pixel


class Stylizer(Protocol):
    """Paints all layers of a frame: (rgb [T,3,H,W], masks, carry) -> (painted [T,3,H,W], carry).

    Layers that stay original get the nearest thing to paint that there is, the source itself;
    whether it shows is decided when composing.
    """

    def __call__(self, rgb: Tensor, masks: LayerMasks | None, carry: Any) -> tuple[Tensor, Any]: ...


class SeparateStylizer:
    """One transformer network a style, each run over the whole frame; layers are composed by soft mask.

    A style that is nowhere seen in the frame is not computed. A mix of styles is the weighted mean of
    their pictures. No carry.
    """

    def __init__(self, plan: Plan, networks: Mapping[str, nn.Module], device: torch.device) -> None:
        self.plan = plan
        self.device = device
        self.dtype = fast_dtype(device)
        self.networks = {
            name: net.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            for name, net in networks.items()
        }

    @torch.inference_mode()
    def paint(self, rgb: Tensor, style: str) -> Tensor:
        """The whole frame in one style: [T,3,H,W] in [0,1] -> the same."""
        if min(rgb.shape[-2:]) < SMALLEST:
            raise UsageError(
                f"Frames of {rgb.shape[-1]}x{rgb.shape[-2]} are too small; {SMALLEST} px a side is the least."
            )
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            painted: Tensor = self.networks[style](rgb.contiguous(memory_format=torch.channels_last))
        return painted.float().clamp(0, 1).contiguous()

    @torch.inference_mode()
    def __call__(self, rgb: Tensor, masks: LayerMasks | None, carry: None = None) -> tuple[Tensor, None]:
        pictures: dict[str, Tensor] = {ORIGINAL: rgb}
        total, weight = torch.zeros_like(rgb), torch.zeros_like(rgb[:, :1])
        for k, entry in enumerate(self.plan.entries):
            mask = torch.ones_like(weight) if masks is None else masks.soft[:, k : k + 1]
            if entry.original or entry.strength == 0 or float(mask.max()) < UNSEEN:
                continue
            for term in entry.styles:
                if term.style not in pictures:
                    pictures[term.style] = self.paint(rgb, term.style)
                total += (mask * term.weight) * pictures[term.style]
            weight += mask
        # where nothing is painted the source stands in; elsewhere the painted layers share the pixel
        rest = 1e-4
        return (total + rest * rgb) / (weight + rest), None
