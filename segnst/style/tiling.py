"""Large pictures in bounded memory: tiles whose statistics are those of the whole frame, so that no seam shows.

Every tile is computed with a margin as wide as the network's receptive field reaches, and all are normalized with the
same statistics. ``exact`` measures these on the whole frame, one norm after another; ``auto`` measures them on a
reduced frame in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import UsageError
from segnst.pixels import pad_to_multiple, size_within
from segnst.style.conditional import ConditionalConv, ConditionalNetwork, ConditionalTransformer
from segnst.style.layer_norm import LayerNorm, Moments, flat_pixels, moments, paint_layers, painted_masks
from segnst.style.transformer import GAIN, STRIDE

TILE = 512  # px, a multiple of STRIDE
MARGIN = 72  # px, a multiple of STRIDE; the receptive field of the transformer reaches about 60 px
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
    """Tiles that cover a frame; height and width are multiples of STRIDE."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield Tile((top, min(top + side, height)), (left, min(left + side, width)), height, width)


class _Sums:
    """Moments of a whole frame, gathered tile by tile."""

    def __init__(self) -> None:
        self.pixels = 0
        self.total: Moments | None = None

    def add(self, x: Tensor, soft: Tensor | None) -> None:
        """Add a tile x [1,C,h,w] under masks [L,h*w]."""
        pixels = flat_pixels(x.float().contiguous(memory_format=torch.channels_last))
        found, count = moments(pixels, soft), len(pixels)
        mine = Moments(found.weight * count, found.first * count, found.second * count)
        past = self.total
        self.total = (
            mine
            if past is None
            else Moments(past.weight + mine.weight, past.first + mine.first, past.second + mine.second)
        )
        self.pixels += count

    def mean(self) -> Moments:
        if self.total is None:
            raise ValueError("a frame without pixels")
        return Moments(self.total.weight / self.pixels, self.total.first / self.pixels, self.total.second / self.pixels)


class _Exact:
    """Paints a frame in tiles, measuring one norm's statistics after another, each with the earlier ones fixed.

    Features at a quarter of the size are kept (three tensors with 8 numbers per pixel of the frame); the layers at full
    and half size are recomputed for every norm that follows them.
    """

    def __init__(
        self,
        net: ConditionalTransformer,
        rgb: Tensor,
        codes: Tensor,
        soft: Tensor | None,
        past: Sequence[Moments] | None,
        side: int,
    ) -> None:
        self.net, self.rgb, self.codes, self.soft, self.past, self.side = net, rgb, codes, soft, past, side
        self.found: list[Moments] = []
        self.height, self.width = rgb.shape[-2:]

    def _tiles(self) -> Iterator[Tile]:
        return tiles(self.height, self.width, self.side)

    def _masks(self, tile: Tile, margin: int) -> Tensor | None:
        return None if self.soft is None else tile.cut(self.soft, margin)

    def _flat_soft(self, tile: Tile, scale: int) -> Tensor | None:
        if self.soft is None:
            return None
        mine = tile.cut(self.soft, 0)
        return F.avg_pool2d(mine, scale)[0].flatten(1) if scale > 1 else mine[0].flatten(1)

    def norm(self, first: int, tile: Tile, margin: int) -> LayerNorm:
        """The norm of a tile with a margin, from the ``first`` layer on, with the statistics found so far."""
        soft = self._masks(tile, margin)
        return LayerNorm(
            self.codes, None if soft is None else painted_masks(self.net, soft), tuple(self.found[first:]), fixed=True
        )

    def measure(self, convolved: Callable[[Tile], Tensor], scale: int, keep: Tensor | None = None) -> None:
        """Measure the next norm's statistics on what ``convolved`` gives for each tile (without margin).

        scale  by how much that is smaller than the frame
        keep   where to store it, or None
        """
        sums = _Sums()
        for tile in self._tiles():
            y = convolved(tile)
            sums.add(y, self._flat_soft(tile, scale))
            if keep is not None:
                tile.cut(keep, 0, scale).copy_(y)
        now = sums.mean()
        if self.past is not None:
            now = now.blend(self.past[len(self.found)])
        self.found.append(now)

    def _kept(self) -> Tensor:
        shape = (1, 4 * self.net.width, self.height // STRIDE, self.width // STRIDE)
        return torch.empty(shape, device=self.rgb.device)

    def _apply(self, layer: ConditionalConv, x: Tensor, add: Tensor | None = None) -> None:
        """Normalize kept features with the newest statistics, then rectify them in place, or add them to ``add``."""
        for tile in self._tiles():
            part = tile.cut(x, 0, STRIDE)
            y = self.norm(len(self.found) - 1, tile, 0)(layer, part)
            if add is None:
                part.copy_(y.relu_())
            else:
                tile.cut(add, 0, STRIDE).add_(y)

    def run(self) -> tuple[Tensor, tuple[Moments, ...]]:
        """The painted frame and its moments."""
        net = self.net
        downs = (net.conv1, net.conv2, net.conv3)
        x = self._kept()
        for k, layer in enumerate(downs):
            scale = (1, 2, STRIDE)[k]

            def convolved(tile: Tile, k: int = k, layer: ConditionalConv = layer, scale: int = scale) -> Tensor:
                norm, y = self.norm(0, tile, MARGIN), tile.cut(self.rgb, MARGIN)
                for before in downs[:k]:
                    y = F.relu_(before(y, norm))
                return tile.inner(layer.conv(y), MARGIN, scale)

            self.measure(convolved, scale, x if layer is net.conv3 else None)
        self._apply(net.conv3, x)
        inner, second = self._kept(), self._kept()
        for block in net.blocks_in_order():
            for layer, source, target in ((block.first, x, inner), (block.second, inner, second)):

                def residual(tile: Tile, layer: ConditionalConv = layer, source: Tensor = source) -> Tensor:
                    y = layer.conv(tile.cut(source, STRIDE, STRIDE).contiguous(memory_format=torch.channels_last))
                    return tile.inner(y, STRIDE, STRIDE)

                self.measure(residual, STRIDE, target)
                self._apply(layer, target, x if layer is block.second else None)
        del inner, second
        behind = len(self.found)

        def first_up(tile: Tile) -> Tensor:
            y: Tensor = net.up1.conv(F.interpolate(tile.cut(x, MARGIN, STRIDE), scale_factor=2.0, mode="bilinear"))
            return y

        def second_up(tile: Tile) -> Tensor:
            y = F.relu_(self.norm(behind, tile, MARGIN)(net.up1, first_up(tile)))
            z: Tensor = net.up2.conv(F.interpolate(y, scale_factor=2.0, mode="bilinear"))
            return z

        self.measure(lambda tile: tile.inner(first_up(tile), MARGIN, 2), 2)
        self.measure(lambda tile: tile.inner(second_up(tile), MARGIN), 1)
        painted = torch.empty_like(self.rgb)
        for tile in self._tiles():
            y = F.relu_(self.norm(behind + 1, tile, MARGIN)(net.up2, second_up(tile)))
            tile.cut(painted, 0).copy_(tile.inner(0.5 + GAIN * net.out(y), MARGIN))
        return painted, tuple(self.found)


@torch.inference_mode()
def paint_exact(
    net: ConditionalNetwork,
    rgb: Tensor,
    codes: Tensor,
    soft: Tensor | None,
    past: tuple[Moments, ...] | None = None,
    side: int = TILE,
) -> tuple[Tensor, tuple[Moments, ...]]:
    """``paint_layers`` in tiles: the same picture, except for rounding, because sums are taken in another order.

    Arguments and result are those of ``paint_layers``. Memory: about 160 bytes per pixel of the frame, plus what a tile
    needs; time: about twice that of the frame in one piece. Raises UsageError for networks of another architecture than
    the transformer.
    """
    if not isinstance(net, ConditionalTransformer):
        raise UsageError(
            f"--tile exact is for transformer networks; this style's is a {net.architecture}. Try --tile auto."
        )
    height, width = rgb.shape[-2:]
    whole = pad_to_multiple(rgb, STRIDE) * 2 - 1
    masks = None if soft is None else pad_to_multiple(soft, STRIDE, "replicate")
    painted, found = _Exact(net, whole, codes, masks, past, side).run()
    return painted[..., :height, :width], found


@torch.inference_mode()
def paint_auto(
    net: ConditionalNetwork,
    rgb: Tensor,
    codes: Tensor,
    soft: Tensor | None,
    past: tuple[Moments, ...] | None = None,
    side: int = TILE,
) -> tuple[Tensor, tuple[Moments, ...]]:
    """``paint_layers`` in tiles with the statistics of the frame reduced to ``REDUCED`` px: one pass, little memory."""
    height, width = rgb.shape[-2:]
    size = size_within((height, width), REDUCED, 16)
    small = F.interpolate(rgb, size, mode="bilinear", antialias=True)
    few = None if soft is None else F.interpolate(soft, size, mode="bilinear", antialias=True)
    _, found = paint_layers(net, small, codes, few, past)
    whole = pad_to_multiple(rgb, net.stride)
    masks = None if soft is None else pad_to_multiple(soft, net.stride, "replicate")
    painted = torch.empty_like(whole)
    for tile in tiles(whole.shape[-2], whole.shape[-1], side):
        cut = None if masks is None else painted_masks(net, tile.cut(masks, net.reach))
        norm = LayerNorm(codes, cut, found, fixed=True)
        part = tile.cut(whole, net.reach).contiguous(memory_format=torch.channels_last)
        tile.cut(painted, 0).copy_(tile.inner(net.through(part, norm), net.reach))
    return painted[..., :height, :width], found
