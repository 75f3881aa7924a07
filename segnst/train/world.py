"""The processes that train together, and the randomness of each of their iterations."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Generator


@dataclass(frozen=True)
class World:
    """The processes that ``torchrun`` started, or a single one without it."""

    rank: int = 0
    size: int = 1

    @staticmethod
    def join(device: torch.device) -> World:
        """Connect to the other processes, if there are any."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return World()
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return World(torch.distributed.get_rank(), size)

    def turn(self, iteration: int) -> int:
        """The number of the batch that this process trains on; no two processes or iterations share one."""
        return iteration * self.size + self.rank

    def average_gradients(self, net: torch.nn.Module) -> None:
        """Give every process the mean of all processes' gradients."""
        if self.size == 1:
            return
        grads = [p.grad for p in net.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in grads])
        torch.distributed.all_reduce(flat)
        start = 0
        for grad in grads:
            grad.copy_(flat[start : start + grad.numel()].view_as(grad) / self.size)
            start += grad.numel()


def seed_of(seed: int, turn: int) -> int:
    """The seed of one turn of a training (``World.turn``), which does not depend on earlier turns."""
    return seed * 1_000_003 + turn


def random_of(seed: int, turn: int) -> Generator:
    """A generator with the seed ``seed_of(seed, turn)``."""
    return torch.Generator().manual_seed(seed_of(seed, turn))
