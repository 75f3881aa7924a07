"""Selected objects and classes in one plan: what was pointed at lies in front, classes have the rest of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.segmentation.base import FOREGROUND, Segmenter, after_cut, notes, objects, resolve, select_regions
from segnst.types import Region


@dataclass(frozen=True, slots=True)
class CombinedCarry:
    """The carries of both."""

    selection: Any = None
    classes: Any = None


class CombinedSegmenter:
    """A :class:`~segnst.segmentation.base.Segmenter`: the objects of one, and of another the classes that a plan names.

    selection  region 0 is its background, all others are objects
    names      regions of the plan; those that are no object are looked up among the classes

    Its regions are "unlabeled", the classes that are named, then the objects; probabilities ``[T,1+C+N,H,W]`` have the
    selection's size. Where an object is, no class is. Raises PlanError for a name that neither knows.
    """

    def __init__(self, selection: Segmenter, classes: Segmenter, names: Sequence[str]) -> None:
        mine = selection.regions[1:]
        taken = {r.name for r in mine}
        wanted = [n for n in names if n not in taken and n != FOREGROUND]
        self.selection, self.classes = selection, select_regions(classes, wanted)
        self.name, self.path = classes.name, getattr(classes, "path", None)
        found: dict[int, str] = {}  # index among the classes: what the plan calls it
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

    @torch.inference_mode()
    def __call__(self, rgb: Tensor, carry: CombinedCarry | None = None) -> tuple[Tensor, CombinedCarry]:
        carry = carry or CombinedCarry()
        selected, first = self.selection(rgb, carry.selection)
        classes, second = self.classes(rgb, carry.classes)
        size = (selected.shape[2], selected.shape[3])
        left = selected[:, :1]  # of each pixel, by the objects
        # only what the plan names is ever at the frame's size
        wanted = F.interpolate(classes[:, list(self.indices)], size, mode="bilinear", align_corners=True)
        wanted = left * wanted.to(left).clamp(0, 1)
        unlabeled = (left - wanted.sum(1, keepdim=True)).clamp_min(0)
        return torch.cat((unlabeled, wanted, selected[:, 1:]), 1), CombinedCarry(first, second)

    def after_cut(self, carry: CombinedCarry) -> CombinedCarry:
        return CombinedCarry(after_cut(self.selection, carry.selection), after_cut(self.classes, carry.classes))

    def notes(self, carry: CombinedCarry) -> list[str]:
        return [*notes(self.selection, carry.selection), *notes(self.classes, carry.classes)]
