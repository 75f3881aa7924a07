"""Selected objects together with classes in one plan: the objects lie in front, the classes share the other pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.engines.base import Engine
from segnst.segmentation.base import FOREGROUND, Segmenter, objects, resolve
from segnst.segmentation.wrapped import Wrapped, WrappedCarry
from segnst.types import Motion, Region

Classes = TypeVar("Classes")
Selected = TypeVar("Selected")
Carry = WrappedCarry[Classes, Selected]


class CombinedSegmenter(Wrapped[Classes, Selected], Generic[Classes, Selected]):
    """Combines the objects of one segmenter with those classes of another that a plan names.

    selection  segmenter of the objects, whose region 0 is the background; its carry is the wrapper's own carry
    classes    the wrapped segmenter
    names      region names of the plan; those that are not objects are looked up among the classes

    Its regions are "unlabeled", the named classes, then the objects. The probabilities ``[T,1+C+N,H,W]`` have the size
    of the selection's. The classes share only the probability that the objects leave over. Raises PlanError for a name
    that neither segmenter knows.
    """

    def __init__(self, selection: Segmenter[Selected], classes: Segmenter[Classes], names: Sequence[str]) -> None:
        mine = selection.regions[1:]
        taken = {r.name for r in mine}
        wanted = [n for n in names if n not in taken and n != FOREGROUND]
        super().__init__(classes.select(wanted) if wanted else classes)
        self.selection, self.classes, self.names = selection, self.inner, tuple(names)
        self.in_order = classes.in_order or selection.in_order
        found: dict[int, str] = {}  # {index of the class: its name in the plan}
        for name in wanted:
            for region in resolve(name, (*mine, *self.classes.regions)):
                found.setdefault(region.index, region.name if region.name not in taken else name)
        if FOREGROUND in names:
            for region in objects(self.classes.regions):
                if region.name not in taken:
                    found.setdefault(region.index, region.name)
        self.indices = tuple(found)
        regions = [Region(0, "unlabeled")]
        for index, name in found.items():
            known = next(r for r in self.classes.regions if r.index == index)
            aliases = tuple(a for a in known.aliases if a not in taken)
            regions.append(Region(len(regions), name, aliases, known.instance))
        regions += [Region(len(regions) + k, r.name) for k, r in enumerate(mine)]
        self.regions = tuple(regions)

    def around(self, inner: Segmenter[Classes]) -> CombinedSegmenter[Classes, Selected]:
        return CombinedSegmenter(self.selection, inner, self.names)

    def select(self, names: Sequence[str]) -> CombinedSegmenter[Classes, Selected]:
        """Return the same objects combined with the classes that another plan names."""
        return CombinedSegmenter(self.selection, self.classes, names)

    def channels(self, region: int) -> tuple[int, ...]:
        return (region,)

    def look(
        self, rgb: Tensor, inner: Classes | None, own: Selected | None
    ) -> tuple[Tensor, Classes | None, Selected | None]:
        selected, own = self.selection.frame(rgb, own)
        classes, inner = self.classes.frame(rgb, inner)
        size = (selected.shape[2], selected.shape[3])
        left = selected[:, :1]  # the share of each pixel that the objects leave to the classes
        # To save memory, only the classes that the plan names are enlarged to the frame's size.
        wanted = F.interpolate(classes[:, list(self.indices)], size, mode="bilinear", align_corners=True)
        wanted = left * wanted.to(left).clamp(0, 1)
        unlabeled = (left - wanted.sum(1, keepdim=True)).clamp_min(0)
        return torch.cat((unlabeled, wanted, selected[:, 1:]), 1), inner, own

    def use(self, engine: Engine) -> None:
        self.selection.use(engine)
        super().use(engine)

    def own_skip(self, own: Selected | None) -> Selected | None:
        return self.selection.skip(own)

    def own_moved(self, own: Selected | None, motion: Motion) -> Selected | None:
        return self.selection.moved(own, motion)

    def own_after_cut(self, own: Selected | None) -> Selected | None:
        return self.selection.after_cut(own)

    def notes(self, carry: Carry[Classes, Selected] | None) -> list[str]:
        return [*self.selection.notes(carry.own if carry else None), *super().notes(carry)]

    def confidence(self, carry: Carry[Classes, Selected] | None) -> dict[str, tuple[float, ...]]:
        """The confidence of the objects only: the wrapped segmenter's values belong to regions that may be missing."""
        return self.selection.confidence(carry.own if carry else None)

    def colors(self, carry: Carry[Classes, Selected] | None) -> None:
        """None, because the palette of the classes does not fit the combined regions."""
        return None

    @property
    def weights(self) -> dict[str, Path]:
        return {**self.selection.weights, **self.classes.weights}
