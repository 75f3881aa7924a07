"""Painting by optimization (Gatys 2016, CVPR): the pixels of the picture are optimized.

One step is one evaluation of loss and gradient. Large pictures are painted coarse to fine (Gatys 2017, section 6): most
steps are made on a reduced picture, where they are cheap, and the last ones refine the strokes at full size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.errors import SegnstError
from segnst.perceptual.objective import Objective
from segnst.style.lbfgs import Lbfgs
from segnst.style.optimization_settings import OptimizeSettings

Losses = dict[str, float | int]
Watch = Callable[[int, Tensor, Losses], None]  # step from 1, picture [1,3,h,w] (not clamped), its losses
SMALLEST_SCALE, SMALLEST_SHORT = 128, 48  # px of the long and the short side that a coarse scale has at least
LAST_SHARE = 0.3  # share of the steps that are made at full size
SETTLED, WINDOW = 1e-5, 25  # converged when the loss fell by less than this share over so many steps
RUINED = 10.0  # a loss this many times the best of its scale sends L-BFGS back to the best picture


class Diverged(SegnstError):
    """The loss is no longer finite. ``picture`` [1,3,H,W] is the last good one, ``losses`` those until then."""

    def __init__(self, step: int, picture: Tensor, losses: list[Losses]) -> None:
        super().__init__(f"The loss is no longer finite at step {step}.")
        self.step, self.picture, self.losses = step, picture, losses


@dataclass
class Optimized:
    """A picture [1,3,H,W] in [0,1], the losses of every step, and whether it ended early because nothing changed.

    The picture is the one that the last losses were measured on, clamped.
    """

    picture: Tensor
    losses: list[Losses]
    converged: bool


def resized(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """[B,C,H,W] at another size (H, W), antialiased where it shrinks."""
    if rgb.shape[-2:] == size:
        return rgb
    return F.interpolate(rgb, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def plan_scales(size: tuple[int, int], steps: int, scales: int) -> list[tuple[tuple[int, int], int]]:
    """((H, W), steps) of each scale, coarse to fine; the steps sum to ``steps``."""
    count = scales
    if not count:
        count = 1
        while count < 3 and max(size) >> count >= SMALLEST_SCALE and min(size) >> count >= SMALLEST_SHORT:
            count += 1
    count = min(count, steps)
    sizes = [(max(1, size[0] >> k), max(1, size[1] >> k)) for k in range(count)][::-1]
    # most steps are made where they are cheap: two scales take 0.48 of the time that one takes, three take 0.41
    last = steps if count == 1 else max(1, round(LAST_SHARE * steps))
    rest = steps - last
    shares = [rest // (count - 1) + (k < rest % (count - 1)) for k in range(count - 1)] if count > 1 else []
    return [(s, n) for s, n in zip(sizes, [*shares, last], strict=True) if n]


class _Descent:
    """One scale: a picture, its objective and the method that improves it."""

    def __init__(self, objective: Objective, picture: Tensor, settings: OptimizeSettings, steps: int) -> None:
        self.objective, self.steps = objective, steps
        self.picture = picture.detach().clone(memory_format=torch.contiguous_format)
        self.lbfgs = Lbfgs(settings.history) if settings.optimizer == "lbfgs" else None
        self.adam = torch.optim.Adam([self.picture], settings.learning_rate) if self.lbfgs is None else None
        self.rate = settings.learning_rate
        self.best, self.best_picture = float("inf"), self.picture.clone()

    def evaluate(self) -> tuple[float, dict[str, Tensor], Tensor]:
        """Loss, terms, gradient at the picture."""
        x = self.picture.detach().requires_grad_(True)
        total, terms = self.objective(x)
        (gradient,) = torch.autograd.grad(total, x)
        return float(total.detach()), terms, gradient

    def move(self, step: int, total: float, gradient: Tensor) -> None:
        """Change the picture; ``step`` from 0 within the scale."""
        if total < self.best:
            self.best = total
            self.best_picture.copy_(self.picture)
        if self.adam is not None:
            for group in self.adam.param_groups:
                group["lr"] = self.rate * 0.1 ** (step / max(1, self.steps - 1))
            self.picture.grad = gradient
            self.adam.step()
            self.picture.clamp_(0, 1)
        elif self.lbfgs is not None:
            if total > RUINED * self.best:  # a line search would have refused this step
                self.picture.copy_(self.best_picture)
                self.lbfgs.forget()
            else:
                self.lbfgs.step(self.picture, gradient)


def optimize(
    build: Callable[[tuple[int, int]], Objective],
    start: Tensor,
    settings: OptimizeSettings,
    *,
    steps: int | None = None,
    scales: int | None = None,
    watch: Watch | None = None,
) -> Optimized:
    """Optimize from ``start`` [1,3,H,W]; ``build`` gives the objective at a size (H, W).

    steps, scales  replace those of the settings. Raises Diverged, UsageError.
    """
    size = (start.shape[-2], start.shape[-1])
    plan = plan_scales(size, steps or settings.steps, settings.scales if scales is None else scales)
    picture, history, converged = start, list[Losses](), False
    for (height, width), count in plan:
        descent = _Descent(build((height, width)), resized(picture, (height, width)), settings, count)
        shown, recent = descent.picture.clone(), list[float]()
        for k in range(count):
            total, terms, gradient = descent.evaluate()
            if not (total < float("inf") and bool(torch.isfinite(gradient).all())):
                raise Diverged(len(history) + 1, resized(shown.clamp(0, 1), size), history)
            shown.copy_(descent.picture)
            losses: Losses = {"step": len(history) + 1, "size": max(height, width), "total": total}
            losses |= {name: float(value.detach()) for name, value in terms.items()}
            history.append(losses)
            if watch:
                watch(len(history), shown, losses)
            recent.append(total)
            flat = not gradient.any()
            if flat or (len(recent) > WINDOW and min(recent[:-WINDOW]) - min(recent) < SETTLED * min(recent)):
                converged = True
                break
            converged = False
            if k + 1 < count:
                descent.move(k, total, gradient)
        picture = shown.clamp(0, 1)
    return Optimized(resized(picture, size), history, converged)
