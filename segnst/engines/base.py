"""Engines, which run networks: the base class that all share, and the choice between them."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from segnst import registry
from segnst.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

AUTO = "auto"
# Processors for which OpenVINO's kernels were measured to be faster than torch's (docs/speed.md).
FASTER_ON = ("x86_64", "amd64")
WORTH = 40  # frames of which a run needs as many for a faster engine to win back the seconds that compiling takes


class Program(ABC):
    """A network that an engine has made ready to run."""

    @abstractmethod
    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the network without gradients: float32 tensors in, float32 tensors out, on the device of the inputs.

        The results belong to the caller: the next call does not change them.
        """


class Engine(ABC):
    """Runs networks.

    name       what the user types to choose it
    precision  number format of convolutions and matrix products: "fp32", "bf16" or "fp16"
    compiles   whether each new shape of the inputs is compiled first, which takes about a second. Callers then prefer
               inputs of few different shapes

    ``tests/engines/test_contract.py`` checks these promises for every registered engine: a prepared network computes
    what the network itself computes in float32, within the rounding errors of ``precision``.
    """

    name: str
    precision: str
    compiles: bool

    @abstractmethod
    def prepare(self, network: nn.Module) -> Program:
        """Make a network ready, in evaluation mode.

        network  takes tensors and returns a tensor or a tuple of tensors. The last two dimensions of four-dimensional
                 inputs may change from call to call. Its weights must not change afterwards
        """

    @abstractmethod
    def __str__(self) -> str:
        """The engine with its version and its number format, for reports."""


def load(name: str, device: torch.device) -> Engine:
    """Load an engine by its registered name. Raises UsageError if it is unknown, missing or cannot use the device."""
    found: Engine = registry.get(registry.ENGINES, name, "engine")(device=device)
    return found


def choose(name: str, device: torch.device, *, frames: int | None) -> Engine:
    """The engine for a run.

    name    of an engine, or "auto": OpenVINO on x86 processors if it is installed and enough frames are to come, else
            torch
    frames  number of frames of the run, or None if it is not known, as with a stream

    Raises UsageError as :func:`load` does; "auto" never fails.
    """
    if name != AUTO:
        return load(name, device)
    worth = frames is None or frames >= WORTH
    if worth and device.type == "cpu" and platform.machine().lower() in FASTER_ON:
        try:
            return load("openvino", device)
        except UsageError:
            pass
    return load("torch", device)
