"""Fitting a convolution of low rank to responses, in closed form (reduced-rank regression, Izenman 1975)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Layer = tuple[Tensor, Tensor, Tensor]  # down [R,I,3,3], up [O,R,1,1], bias [O]


def patches(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """3x3 neighborhoods of x [1,C,H,W] at N positions, zeros beyond the border -> [N, C*9] in a kernel's order."""
    padded = F.pad(x[0], (1, 1, 1, 1))
    shifts = [padded[:, rows + dy, columns + dx] for dy in range(3) for dx in range(3)]
    return torch.stack(shifts, 1).flatten(0, 1).T


def reduced_rank(
    xx: Tensor, xy: Tensor, mean_x: Tensor, mean_y: Tensor, rank: int, ridge: float
) -> tuple[Layer, float]:
    """The linear map of a given rank that predicts y best.

    xx [K,K], xy [K,O] centered second moments of patches x and responses y -> the layer, and the share of y's explained
    variance that the rank leaves out. K = 9 I.
    """
    eye = torch.eye(len(xx), dtype=xx.dtype)
    full = torch.linalg.solve(xx + ridge * xx.diagonal().mean() * eye, xy)  # [K,O]
    fitted = full.T @ xx @ full
    values, vectors = torch.linalg.eigh(fitted)
    kept = vectors[:, -rank:]
    down = (full @ kept).T  # [R,K]
    # both factors get the same scale, so that half precision is equally accurate for them
    scale = down.norm(dim=1, keepdim=True).clamp_min(1e-12)
    up = kept * scale.T
    down = down / scale
    bias = mean_y - up @ (down @ mean_x)
    lost = 1 - float(values[-rank:].sum() / values.sum().clamp_min(1e-12))
    return (down.reshape(rank, -1, 3, 3).float(), up[:, :, None, None].float(), bias.float()), lost


class Fit:
    """Second moments of patches and responses, summed in double precision and centered at the end."""

    def __init__(self) -> None:
        self.sums: list[Tensor] | None = None
        self.count = 0

    def add(self, x: Tensor, y: Tensor) -> None:
        """x [N,K] patches, y [N,O] responses."""
        new = [x.T @ x, x.T @ y, x.sum(0), y.sum(0)]
        if self.sums is None:
            self.sums = [t.double() for t in new]
        else:
            for total, t in zip(self.sums, new, strict=True):
                total += t
        self.count += len(x)

    def solve(self, rank: int, ridge: float) -> tuple[Layer, float]:
        assert self.sums is not None
        xx, xy, x, y = (t / self.count for t in self.sums)
        return reduced_rank(xx - x[:, None] * x, xy - x[:, None] * y, x, y, min(rank, len(y)), ridge)
