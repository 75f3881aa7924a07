"""Instance norm with the statistics of the scene's first frame, to show what normalization adds to flicker.

Instance norm (Ulyanov 2016, arXiv 1607.08022) computes mean and deviation for each frame, so that something bright
that enters at one side changes the painted frame at the other. Here y = (x − μ₀)/√(σ₀² + ε)·γ + β in every layer, with
μ₀ and σ₀ of the first frame. It takes one additional pass of the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from segnst.bench.samples import Context, NotApplicable, Sample, stylize


class FrozenNorm(TorchFunctionMode):  # type: ignore[misc, unused-ignore]
    """While active, ``F.instance_norm`` uses the first statistics of each layer, until ``reset``.

    Layers are identified by their weights, so that it does not matter if a network is skipped in a frame.
    """

    def __init__(self) -> None:
        super().__init__()
        self.statistics: dict[int, tuple[Tensor, Tensor]] = {}
        self.layers: dict[int, Tensor] = {}  # keeps the weights alive, so that Python does not reuse their ids

    def reset(self) -> None:
        """Begin a new scene."""
        self.statistics.clear()

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is not F.instance_norm:
            return func(*args, **(kwargs or {}))
        return self._norm(*args, **(kwargs or {}))

    def _norm(
        self,
        input: Tensor,
        running_mean: Tensor | None = None,
        running_var: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        use_input_stats: bool = True,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if weight is None or bias is None:
            raise NotApplicable("the network's instance norm has no weights that would identify its layers")
        x = input.float()
        self.layers.setdefault(id(weight), weight)
        if id(weight) not in self.statistics:
            variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
            self.statistics[id(weight)] = (mean, variance)
        mean, variance = self.statistics[id(weight)]
        scale = weight.view(1, -1, 1, 1) / (variance + eps).sqrt()
        return ((x - mean) * scale + bias.view(1, -1, 1, 1)).to(input.dtype)


def run(samples: Iterator[Sample], context: Context) -> Iterator[Tensor]:
    """Per-frame styling with the instance-norm statistics of the scene's first frame."""
    frozen, pipeline = FrozenNorm(), context.per_frame()
    for sample in samples:
        if sample.cut:
            frozen.reset()
        with frozen:
            (styled,) = stylize(pipeline, [sample.rgb])
        if not frozen.layers and not pipeline.idle:
            raise NotApplicable("no instance norm was found in the networks of this plan")
        yield styled.rgb
