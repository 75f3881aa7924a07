"""The base classes of everything that a :class:`segnst.train.run.Run` can train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from segnst.device import training_dtype
from segnst.train.world import World


class Training(ABC):
    """Something that is trained step by step. The run around it keeps checkpoints, history, curves and time.

    iterations  how many steps are planned
    minutes     if not 0, how long the training takes over all sessions, instead of ``iterations``
    seed        seed of all randomness, together with the number of the step
    settings    everything that affects the result, as values that JSON can hold. A checkpoint with other settings is
                refused, except for those in ``may_change``.
    """

    kind: ClassVar[str]
    """What is trained: a checkpoint of another kind is refused."""
    remedy: ClassVar[str] = "Lower --learning-rate."
    """What to do when the loss is no longer finite."""
    may_change: ClassVar[frozenset[str]] = frozenset()
    """The settings that may differ when a run is resumed."""
    judged_by: ClassVar[str | None] = None
    """The name of the value of ``validate`` that decides which result is kept as best; None without validation."""

    done: float = 0.0
    """The share of the training that is done, 0 to 1; the run sets it before each step."""

    def __init__(
        self, iterations: int, seed: int, settings: Mapping[str, Any], device: torch.device, *, minutes: float = 0.0
    ) -> None:
        self.iterations, self.seed, self.settings, self.device = iterations, seed, settings, device
        self.minutes = minutes
        self.world = World.join(device)

    @abstractmethod
    def step(self, iteration: int) -> dict[str, float]:
        """Make one training step; ``iteration`` counts from 0. Returns the losses by name.

        The run seeds torch before each step, so that a resumed run draws the same random numbers.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that is needed to resume from here, as tensors and plain values."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned. Any exception is reported to the user as a damaged checkpoint."""

    def validate(self) -> dict[str, float]:
        """Values by name, measured on data that is not trained on; one of the names is ``judged_by``."""
        return {}

    def keep(self, folder: Path, iteration: int, values: dict[str, float]) -> None:
        """Write what has been learned as the best so far; ``values`` are those of ``validate``."""
        return None

    def preview(self) -> Tensor | None:
        """A picture [3,H,W] in [0,1] of what has been learned, or None."""
        return None

    def close(self) -> None:
        """Release threads and the like; called at the end of a run, even after an error."""
        return None


class GradientTraining(Training):
    """A training of one network by one optimizer, on any number of processes.

    clip   largest norm of the gradient over all parameters, or None
    dtype  the number format of the computation (default: the best of the device); fp16 has its gradients scaled
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        iterations: int,
        seed: int,
        settings: Mapping[str, Any],
        *,
        clip: float | None = None,
        dtype: torch.dtype | None = None,
        minutes: float = 0.0,
    ) -> None:
        super().__init__(iterations, seed, settings, next(net.parameters()).device, minutes=minutes)
        self.module, self.optimizer, self.clip = net, optimizer, clip
        self.dtype = dtype or training_dtype(self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)

    def descend(self, loss: Tensor) -> None:
        """One step of the optimizer down the gradient of ``loss``, averaged over all processes."""
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(self.optimizer)
        self.world.average_gradients(self.module)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def state(self) -> dict[str, Any]:
        return {
            "net": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
