"""Muon, the optimizer of a style network's convolutions (Jordan 2024; Liu 2025, arXiv 2502.16982).

The loss of many styles is noisy: each step sees a few photos in a few styles, and some styles have gradients ten times
as large as others. Adam needs a low rate there. Muon replaces the averaged gradient of each kernel by the nearest
semi-orthogonal matrix, in which no direction outweighs the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
BETAS, EPS = (0.9, 0.99), 1e-8  # of Adam; the second beta is low, so that the average follows the changing styles
ROUNDS, COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration
ADAM_SIZE = 0.2  # root mean square of Adam's usual steps, which Muon's are scaled to (Liu 2025, eq. 4)
LEAST = 8  # rows and columns; smaller matrices are left to Adam


def is_kernel(parameter: Tensor) -> bool:
    """Whether Muon handles a parameter: the weight of a convolution that is not tiny."""
    return parameter.ndim == 4 and min(parameter.shape[0], parameter[0].numel()) >= LEAST


def orthogonalized(matrix: Tensor) -> Tensor:
    """A matrix [R,C] with the same singular vectors and all singular values near 1."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix) / (matrix.norm() + 1e-7)
    x = x.bfloat16() if x.device.type == "cuda" else x
    a, b, c = COEFFICIENTS
    for _ in range(ROUNDS):
        product = x @ x.T
        x = a * x + (b * product + c * product @ product) @ x
    result: Tensor = (x.T if tall else x).to(matrix)
    return result


class Muon(torch.optim.Optimizer):
    """Muon for groups of kernels (``kernels`` is True), Adam (Kingma & Ba 2014, arXiv 1412.6980) for all others."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 1e-3, "kernels": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = closure() if closure else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update = self._kernel if group["kernels"] else self._adam
                    update(parameter, parameter.grad, float(group["lr"]))
        return loss

    def _kernel(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state["mean"] = torch.zeros_like(parameter)
        mean = state["mean"].lerp_(gradient, 1 - MOMENTUM)
        step = orthogonalized(gradient.lerp(mean, MOMENTUM).flatten(1))
        parameter.add_(step.view_as(parameter), alpha=-rate * ADAM_SIZE * math.sqrt(max(step.shape)))

    def _adam(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        mean = state["mean"].lerp_(gradient, 1 - BETAS[0])
        square = state["square"].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        scale = math.sqrt(1 - BETAS[1] ** state["step"])
        bias = 1 - BETAS[0] ** state["step"]
        parameter.addcdiv_(mean, square.sqrt().div_(scale).add_(EPS), value=-rate / bias)


def optimizer(net: nn.Module, rate: float, style_rate: float, others: Iterable[Tensor] = ()) -> Muon:
    """The optimizer of a style network: Muon at ``rate`` for kernels, Adam for the rest.

    Scales and shifts of styles get ``style_rate`` times the rate. ``others`` are parameters outside the network.
    """
    trained = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
    rows = [p for n, p in trained if n.endswith(("gamma", "beta"))]
    trunk = [p for n, p in trained if not n.endswith(("gamma", "beta"))]
    groups = [
        {"params": rows, "lr": rate * style_rate},
        {"params": [p for p in trunk if is_kernel(p)], "lr": rate, "kernels": True},
        {"params": [*(p for p in trunk if not is_kernel(p)), *others], "lr": rate / 3},
    ]
    return Muon([group for group in groups if group["params"]])
