"""RAFT flow (Teed & Deng 2020, arXiv 2003.12039), torchvision's small network: better than DIS, slower."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchvision.models.optical_flow import raft_small

from segnst.catalog import fetch_named
from segnst.errors import WeightsError
from segnst.flow.base import FlowEstimator
from segnst.pixels import pad_to_multiple
from segnst.weights import read_tensors

SMALLEST = 128  # px; the correlation pyramid needs this much


class RaftFlow(FlowEstimator):
    """Estimates flow by a network; frames are padded to multiples of 8 (at least 128) and cropped back."""

    name = "raft"

    def __init__(self, weights: Path, device: torch.device) -> None:
        net = raft_small(weights=None)
        try:
            net.load_state_dict({k: v.float() for k, v in read_tensors(weights)[0].items()})
        except RuntimeError as error:
            raise WeightsError(f"{weights} does not hold RAFT small (torchvision's names).") from error
        self._net = net.to(device).eval().requires_grad_(False)

    @torch.inference_mode()
    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
        height, width = current.shape[-2:]
        pair = [pad_to_multiple(x * 2 - 1, 8, "replicate", least=SMALLEST) for x in (current, previous)]
        flow: Tensor = self._net(*pair)[-1]
        return flow[..., :height, :width].contiguous()


def load(*, device: torch.device, offline: bool = False, weights: Path | None = None) -> RaftFlow:
    """Registry entry; torchvision's weights are fetched on first use unless a file is given."""
    return RaftFlow(weights or fetch_named("raft_small", offline=offline), device)
