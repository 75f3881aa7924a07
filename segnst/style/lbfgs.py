"""Limited-memory BFGS (Nocedal 1980; Nocedal & Wright 2006, algorithm 7.5) for pictures, with one gradient per step.

There is no line search, as is usual in style transfer: it costs evaluations, and the unit step is nearly always good.
Two limits replace it. No step changes a pixel by more than ``REACH`` or the picture by more than ``FAR`` in the root
mean square. The first step, for which no curvature is known yet, is scaled to the length ``FIRST``, because the
gradient's own length says nothing about pixel values.
"""

from __future__ import annotations

from collections import deque

from torch import Tensor

FIRST = 0.01  # root mean square of the first step, in units of RGB
FAR = 0.1
REACH = 0.5


class Lbfgs:
    """Holds ``history`` pairs of steps and changes of the gradient, each as large as the picture."""

    def __init__(self, history: int = 20) -> None:
        self.pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=history)  # step, change, 1 / (change · step)
        self._last: tuple[Tensor, Tensor] | None = None  # picture and gradient before the last step

    def _direction(self, gradient: Tensor) -> Tensor:
        q = -gradient
        shares = []
        for step, change, rho in reversed(self.pairs):
            share = rho * float(step.dot(q))
            q.add_(change, alpha=-share)
            shares.append(share)
        _, change, rho = self.pairs[-1]
        q.mul_(1 / (rho * float(change.dot(change))))
        for (step, change, rho), share in zip(self.pairs, reversed(shares), strict=True):
            q.add_(step, alpha=share - rho * float(change.dot(q)))
        return q

    def step(self, picture: Tensor, gradient: Tensor) -> None:
        """Move ``picture`` in place; both of one shape, gradient of the loss at the picture."""
        x, g = picture.view(-1), gradient.reshape(-1)
        if self._last is not None:
            step, change = x - self._last[0], g - self._last[1]
            curvature = float(step.dot(change))
            # only pairs of positive curvature keep the inverse Hessian positive definite
            if curvature > 1e-8 * float(step.norm() * change.norm()):
                self.pairs.append((step, change, 1 / curvature))
        self._last = (x.clone(), g.clone())
        if self.pairs:
            move = self._direction(g)
            if float(move.dot(g)) >= 0:
                self.pairs.clear()
        if not self.pairs:
            move = g * (-FIRST / max(float(g.norm()) / g.numel() ** 0.5, 1e-30))
        far = float(move.norm()) / move.numel() ** 0.5
        if far > FAR:
            move.mul_(FAR / far)
        x.add_(move.clamp_(-REACH, REACH))

    def forget(self) -> None:
        """Drop the history, because the next step starts from another picture."""
        self.pairs.clear()
        self._last = None
