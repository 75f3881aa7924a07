"""Large pictures in bounded memory: tiles whose statistics are those of the whole frame, so that no seam shows.

Every tile is computed with a margin as wide as the network's receptive field reaches, and all are normalized with the
same statistics. ``exact`` measures these on the whole frame, one norm after another; ``auto`` measures them on a
reduced frame in one pass. Both happen only where statistics are measured, which is seldom (``segnst.style.scene``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.pixels import size_within
from segnst.style.conditional import ConditionalConv, ConditionalNetwork
from segnst.style.layer_norm import LayerNorm, Measured, Statistics, measure, shares
from segnst.style.scene import Scene, paint_scene

TILE = 512  # px, a multiple of every network's stride
REDUCED = 1024  # px of the long side that ``auto`` takes its statistics from


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile's rows and columns, and those with its margin, in px of the frame."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    height: int
    width: int

    def _padded(self, margin: int) -> tuple[int, int, int, int]:
        (top, bottom), (left, right) = self.rows, self.columns
        return (
            max(0, top - margin),
            min(self.height, bottom + margin),
            max(0, left - margin),
            min(self.width, right + margin),
        )

    def cut(self, x: Tensor, margin: int, scale: int = 1) -> Tensor:
        """The tile with a margin, of x [B,C,H/scale,W/scale]."""
        top, bottom, left, right = (v // scale for v in self._padded(margin))
        return x[..., top:bottom, left:right]

    def inner(self, x: Tensor, margin: int, scale: int = 1) -> Tensor:
        """Remove the margin from what was computed from ``cut``; the network reduced it by the factor ``scale``."""
        top, _, left, _ = self._padded(margin)
        first_row, first_column = (self.rows[0] - top) // scale, (self.columns[0] - left) // scale
        rows, columns = (self.rows[1] - self.rows[0]) // scale, (self.columns[1] - self.columns[0]) // scale
        return x[..., first_row : first_row + rows, first_column : first_column + columns]


def tiles(height: int, width: int, side: int = TILE) -> Iterator[Tile]:
    """Tiles that cover a frame; height and width are multiples of the network's stride."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield Tile((top, min(top + side, height)), (left, min(left + side, width)), height, width)


class _Sums:
    """Sums of the values before one norm, gathered tile by tile in double precision."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.pixels = 0

    def add(self, x: Tensor) -> None:
        """Add a tile x [1,C,h,w]."""
        values = x.to(torch.float32 if x.device.type == "mps" else torch.float64)
        mine = torch.stack((values.sum((0, 2, 3)), values.square().sum((0, 2, 3))))
        self.total = mine if self.total is None else self.total + mine
        self.pixels += x.shape[-2] * x.shape[-1]

    def statistics(self) -> Statistics:
        if self.total is None:
            raise ValueError("a frame without pixels")
        mean, square = self.total / self.pixels
        return Statistics(mean.float()[None], (square - mean.square()).clamp_min(0).float()[None])


class _Measured(Exception):
    """Ends a pass at the norm that is measured."""


class _UpTo:
    """A norm for one tile: it normalizes with the statistics found so far, and adds up the values of the next norm.

    inner  removes the tile's margin from values that the network has reduced by a factor
    """

    def __init__(
        self,
        code: Tensor,
        found: Sequence[Statistics],
        height: int,
        inner: Callable[[Tensor, int], Tensor],
        into: _Sums,
    ) -> None:
        self.norm, self.height, self.inner, self.into = LayerNorm(code, None, found), height, inner, into

    def __call__(self, layer: ConditionalConv, x: Tensor) -> Tensor:
        if self.norm.count < len(self.norm.known):
            return self.norm(layer, x)
        self.into.add(self.inner(x, self.height // x.shape[-2]))
        raise _Measured


def _parts(net: ConditionalNetwork, framed: Tensor, side: int) -> Iterator[tuple[Tile, Tensor]]:
    """The tiles of a padded frame with their margins."""
    for tile in tiles(framed.shape[-2], framed.shape[-1], side):
        yield tile, tile.cut(framed, net.reach).contiguous(memory_format=torch.channels_last)


def _in_tiles(
    net: ConditionalNetwork, rgb: Tensor, codes: Tensor, soft: Tensor | None, known: Sequence[Statistics], side: int
) -> Tensor:
    """``segnst.style.layer_norm.paint`` in tiles."""
    framed = net.framed(rgb)
    masks = None if soft is None else net.framed(soft, "replicate")
    painted = torch.empty_like(framed)
    for tile, part in _parts(net, framed, side):
        share = None if masks is None else shares(net, tile.cut(masks, net.reach))
        through = net.through_framed(part, LayerNorm(codes, share, known))
        tile.cut(painted, 0).copy_(tile.inner(through, net.reach))
    return net.unframed(painted, rgb)


def _measure_exact(net: ConditionalNetwork, rgb: Tensor, code: Tensor, side: int) -> Measured:
    """Statistics of the whole frame: a pass in tiles for every norm, as far as that norm."""
    framed = net.framed(rgb)
    found: list[Statistics] = []
    for _ in net.norms():
        sums = _Sums()
        for tile, part in _parts(net, framed, side):

            def inner(x: Tensor, scale: int, tile: Tile = tile) -> Tensor:
                return tile.inner(x, net.reach, scale)

            with contextlib.suppress(_Measured):
                net.through_framed(part, _UpTo(code, found, part.shape[-2], inner, sums))
        found.append(sums.statistics())
    return _in_tiles(net, rgb, code, None, found, side), tuple(found)


def _measure_reduced(net: ConditionalNetwork, rgb: Tensor, code: Tensor, side: int) -> Measured:
    """Statistics of the frame reduced to ``REDUCED`` px."""
    size = size_within((rgb.shape[-2], rgb.shape[-1]), REDUCED, net.smallest)
    _, found = measure(net, F.interpolate(rgb, size, mode="bilinear", antialias=True), code)
    return _in_tiles(net, rgb, code, None, found, side), found


@torch.inference_mode()
def paint_exact(
    net: ConditionalNetwork,
    rgb: Tensor,
    codes: Tensor,
    soft: Tensor | None,
    past: Scene | None = None,
    side: int = TILE,
) -> tuple[Tensor, Scene]:
    """``paint_layers`` in tiles: the same picture, except for rounding, because sums are taken in another order.

    Arguments and result are those of ``paint_layers``. To measure the statistics, which is seldom needed, takes about
    ten times as long as to paint.
    """
    return paint_scene(
        net, rgb, codes, soft, past, measure=partial(_measure_exact, side=side), paint=partial(_in_tiles, side=side)
    )


@torch.inference_mode()
def paint_auto(
    net: ConditionalNetwork,
    rgb: Tensor,
    codes: Tensor,
    soft: Tensor | None,
    past: Scene | None = None,
    side: int = TILE,
) -> tuple[Tensor, Scene]:
    """``paint_layers`` in tiles with the statistics of the frame reduced to ``REDUCED`` px."""
    return paint_scene(
        net, rgb, codes, soft, past, measure=partial(_measure_reduced, side=side), paint=partial(_in_tiles, side=side)
    )
