"""Compares two segmenters: draws where they disagree, and measures how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from segnst.errors import UsageError
from segnst.masks.indexed_png import palette
from segnst.masks.label_map import label_map
from segnst.segmentation.base import Segmenter
from segnst.segmentation.wrapped import Wrapped, WrappedCarry
from segnst.sheet import write_sheet
from segnst.types import Region

ROWS = 8  # of the sheet; a clip with more frames has between this and twice as many
WIDTH = 360  # px of a picture on the sheet


def matching(ours: tuple[Region, ...], theirs: tuple[Region, ...]) -> np.ndarray:
    """For each of ``theirs``, the index of the one in ``ours`` with the same name or alias; 0 where there is none."""
    index = []
    for region in theirs:
        words = (region.name, *region.aliases)
        found = [r for r in ours if r.name == region.name]
        found = found or [r for r in ours if region.name in r.aliases] or [r for r in ours if r.name in words]
        index.append(found[0].index if found else 0)
    return np.array(index, np.uint8)


Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")


class Agreement(Wrapped[Ours, Theirs], Generic[Ours, Theirs]):
    """A segmenter that returns what its first one returns, and counts where the second one disagrees.

    Only classes that both know are compared. Raises UsageError where there are none.
    """

    def __init__(self, ours: Segmenter[Ours], theirs: Segmenter[Theirs]) -> None:
        self.ours, self.theirs = ours, theirs
        super().__init__(ours)
        self.in_order = ours.in_order or theirs.in_order
        self.index = matching(ours.regions, theirs.regions)
        self.shared = {0, *map(int, self.index)}
        if self.shared == {0} and len(ours.regions) > 1:
            raise UsageError(f"'{ours.name}' and '{theirs.name}' have no class in common: there is nothing to compare.")
        # A class that only one of the two knows counts as index 0 for both: a segmenter without a class for roads does
        # not contradict one that finds a road.
        self.folded = np.array([r.index if r.index in self.shared else 0 for r in ours.regions], np.uint8)
        self.counts = np.zeros((len(ours.regions), 3), np.int64)  # both, ours, theirs
        self.same = self.pixels = self.frames = 0
        self.step = 1
        self.rows: list[tuple[int, list[tuple[str, Tensor]]]] = []

    def around(self, inner: Segmenter[Ours]) -> Agreement[Ours, Theirs]:
        return Agreement(inner, self.theirs)

    def select(self, names: Sequence[str]) -> Agreement[Ours, Theirs]:
        """Both segmenters select the regions."""
        return Agreement(self.ours.select(names), self.theirs.select(names))

    def look(self, rgb: Tensor, inner: Ours | None, own: Theirs | None) -> tuple[Tensor, Ours | None, Theirs | None]:
        found, inner = self.ours.frame(rgb, inner)
        other, own = self.theirs.frame(rgb, own)
        size = (rgb.shape[2], rgb.shape[3])
        a, b = (label_map(p, size)[0].cpu().numpy() for p in (found, other))
        self._add(rgb[0].cpu(), self.folded[a], self.index[b])
        return found, inner, own

    def own_skip(self, own: Theirs | None) -> Theirs | None:
        return self.theirs.skip(own)

    def own_after_cut(self, own: Theirs | None) -> Theirs | None:
        return self.theirs.after_cut(own)

    def notes(self, carry: WrappedCarry[Ours, Theirs] | None) -> list[str]:
        return [*super().notes(carry), *self.theirs.notes(carry.own if carry else None)]

    @property
    def weights(self) -> dict[str, Path]:
        return {**self.theirs.weights, **self.ours.weights}

    def _add(self, frame: Tensor, ours: np.ndarray, theirs: np.ndarray) -> None:
        for k in range(len(self.regions)):
            a, b = ours == k, theirs == k
            self.counts[k] += (a & b).sum(), a.sum(), b.sum()
        agreed = ours == theirs
        self.same, self.pixels = self.same + int(agreed.sum()), self.pixels + agreed.size
        if self.frames % self.step == 0:
            # reduced at once, because the full frames of a long clip would not fit into memory
            small = max(1, round(max(frame.shape[1:]) / WIDTH / 2))
            picture, a, b = frame[:, ::small, ::small], ours[::small, ::small], theirs[::small, ::small]
            gray = 0.35 * picture.mean(0, keepdim=True).expand(3, -1, -1)
            red = torch.tensor([1.0, 0.2, 0.1])[:, None, None]
            wrong = torch.from_numpy(a != b)[None]
            share = f"disagree {100 * (1 - agreed.mean()):.1f} %"
            self.rows.append(
                (
                    self.frames,
                    [
                        (f"frame {self.frames}", picture),
                        (self.ours.name, _drawn(picture, a)),
                        (self.theirs.name, _drawn(picture, b)),
                        (share, torch.where(wrong, gray + 0.65 * red, gray)),
                    ],
                )
            )
            if len(self.rows) == 2 * ROWS:
                self.rows, self.step = self.rows[::2], 2 * self.step
        self.frames += 1

    def figures(self) -> dict[str, Any]:
        """``{"with", "frames", "pixels", "classes": {name: IoU, or None where neither finds the class}}``.

        ``pixels`` is the share of pixels on which both agree. Classes that only one of the two knows are left out.
        """
        classes = {}
        for region, (both, a, b) in zip(self.regions, self.counts.tolist(), strict=True):
            if region.index in self.shared:
                classes[region.name] = both / (a + b - both) if a + b - both else None
        share = self.same / self.pixels if self.pixels else None
        return {"with": self.theirs.name, "frames": self.frames, "pixels": share, "classes": classes}

    def table(self) -> str:
        """The figures as Markdown."""
        facts = self.figures()
        lines = [f"| {self.ours.name} and {self.theirs.name} | IoU |", "|---|---|"]
        lines += [f"| {name} | {v:.3f} |" for name, v in facts["classes"].items() if v is not None]
        return "\n".join([*lines, f"| **pixels that agree** | **{facts['pixels']:.3f}** |"])

    def write_sheet(self, path: Path) -> Path:
        """Draw up to 15 frames: the picture, both segmenters, and where they disagree in red. Raises OutputError."""
        return write_sheet(path, [row for _, row in self.rows], width=WIDTH)


AnyAgreement: TypeAlias = Agreement[Any, Any]  # for callers that pass its carry on without reading it


def _drawn(picture: Tensor, labels: np.ndarray) -> Tensor:
    colors = torch.from_numpy(palette()[labels].astype(np.float32) / 255).permute(2, 0, 1)
    return 0.5 * picture + 0.5 * colors
