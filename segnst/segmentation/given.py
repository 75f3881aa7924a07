"""The segmenter whose answer comes with each frame: masks that the caller made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from segnst.errors import UsageError
from segnst.plan import BACKGROUND
from segnst.segmentation.base import Segmenter
from segnst.types import Region

OTHER = "other"


class GivenMasks(Segmenter[Tensor]):
    """Regions by the names of their masks; everything outside of them is ``other``.

    The carry is the answer for the next frame, as ``probabilities`` makes it: whoever runs the pipeline puts it into
    the state before the frame.
    """

    def __init__(self, names: Sequence[str]) -> None:
        wanted = [name.strip().lower() for name in names]
        for name in wanted:
            if not name or name in (OTHER, BACKGROUND) or wanted.count(name) > 1:
                raise UsageError(f"'{name}' cannot be the name of a mask: it is empty, taken twice, or means the rest.")
        super().__init__("given", (Region(0, OTHER), *(Region(k, name) for k, name in enumerate(wanted, 1))))

    def probabilities(self, masks: Mapping[str, Tensor]) -> Tensor:
        """Masks [N,H,W] in [0,1] by name -> [N,K,H,W], which sums to 1; where masks overlap they share.

        Raises UsageError for a name that is missing or unknown.
        """
        known = [region.name for region in self.regions[1:]]
        given = {name.strip().lower(): mask for name, mask in masks.items()}
        for name in (*(n for n in known if n not in given), *(n for n in given if n not in known)):
            what = "is missing" if name in known else "was not announced"
            raise UsageError(f"The mask of '{name}' {what}; this session was made for masks of {', '.join(known)}.")
        named = torch.stack([given[name] for name in known], 1)
        named = named / named.sum(1, keepdim=True).clamp_min(1)
        return torch.cat([1 - named.sum(1, keepdim=True), named], 1)

    def frame(self, rgb: Tensor, carry: Tensor | None) -> tuple[Tensor, Tensor]:
        if carry is None:
            names = ", ".join(region.name for region in self.regions[1:])
            raise UsageError(f"This frame came without its masks; give those of {names}.")
        return carry, carry

    def after_cut(self, carry: Tensor | None) -> Tensor | None:
        """The masks belong to the frame that is about to be painted, whatever was before it."""
        return carry
