"""The engine that every installation has: torch runs the network's own code."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segnst.device import fast_dtype, mixed_precision
from segnst.engines.base import Engine, Program

FORMATS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


class _EagerProgram(Program):
    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self.network, self.device, self.dtype = network.eval(), device, dtype

    @torch.inference_mode()
    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        with mixed_precision(self.device, self.dtype):
            found = self.network(*inputs)
        return tuple(x.float() for x in (found if isinstance(found, tuple) else (found,)))


class EagerEngine(Engine):
    """Runs networks with torch, in the number format that the device computes fastest (:func:`fast_dtype`)."""

    name = "torch"
    compiles = False

    def __init__(self, device: torch.device) -> None:
        self.device, self.dtype = device, fast_dtype(device)
        self.precision = FORMATS[self.dtype]

    def prepare(self, network: nn.Module) -> Program:
        return _EagerProgram(network, self.device, self.dtype)

    def __str__(self) -> str:
        return f"torch {torch.__version__} in {self.precision}"


def load(*, device: torch.device) -> EagerEngine:
    """Registry entry."""
    return EagerEngine(device)
