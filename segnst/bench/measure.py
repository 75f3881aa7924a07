"""The flow to measure with: the truth where there is one, else RAFT, else DIS, which the report then says."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.bench.clips import BenchClip
from segnst.bench.truth import Truth, read_npz
from segnst.catalog import fetch_named
from segnst.errors import InputError, OutputError, WeightsError
from segnst.files import written_whole
from segnst.flow.base import FlowEstimator, consistency, motion_boundary
from segnst.flow.dis import DisFlow
from segnst.flow.raft import RaftFlow
from segnst.flow.warp import inside, warp
from segnst.weights import sha256

LONG = 10  # frames: the span of the long-range error
RECENT = 3  # frames: how long a pixel counts as just uncovered
NEVER = 1e6  # "age" of a pixel that has been visible since its shot began


@dataclass(frozen=True, slots=True)
class Pair:
    """What is known about the motion between a frame and an earlier one.

    flow      [1,2,H,W] px: position in the earlier frame = position in this one + flow
    valid     [1,1,H,W] of 0 and 1: where an error counts (Lai 2018)
    occluded  [1,1,H,W] of 0 and 1: not visible in the earlier frame
    """

    flow: Tensor
    valid: Tensor
    occluded: Tensor


class MeasuringFlow(ABC):
    """Flow to measure with.

    name     "truth", "raft" or "dis"
    weights  SHA-256 of the network's weights, or None
    """

    name: str
    weights: str | None = None

    @abstractmethod
    def __call__(self, number: int, current: Tensor, previous: Tensor) -> Pair:
        """``number`` (1 or more) is that of the current frame; both frames are [1,3,H,W]."""


class TruthFlow(MeasuringFlow):
    """Exact flow and occlusion, scaled to the frames' size where the frames were reduced."""

    name = "truth"

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    def __call__(self, number: int, current: Tensor, previous: Tensor) -> Pair:
        if number >= len(self.truth):
            raise InputError(
                f"The clip has more frames than its truth in {self.truth.folder}, which ends after {len(self.truth)}."
            )
        flow = torch.from_numpy(self.truth.flow(number)).permute(2, 0, 1)[None].to(current.device)
        hidden = torch.from_numpy(self.truth.occluded(number))[None, None].to(current)
        size = current.shape[-2:]
        # The stored flow is rounded; without smoothing, its steps would be taken for motion boundaries.
        edge = motion_boundary(F.avg_pool2d(flow, 3, 1, 1, count_include_pad=False))
        if flow.shape[-2:] != size:
            height, width = flow.shape[-2:]
            scale = flow.new_tensor((size[1] / width, size[0] / height)).view(1, 2, 1, 1)
            flow = F.interpolate(flow, size, mode="area") * scale
            # A reduced pixel is valid only where all pixels that it was made of are.
            hidden, edge = (F.adaptive_max_pool2d(x, size) for x in (hidden, edge))
        hidden = torch.maximum(hidden, 1 - inside(flow))
        return Pair(flow, (1 - hidden) * (1 - edge), hidden)


def _rounded(flow: Tensor) -> Tensor:
    """Round to fp16 (0.004 px at 8 px), as the cache stores it, so that runs with a cache give the same figures."""
    return flow.half().float()


def _keep(file: Path, flow: Tensor, back: Tensor) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as temporary:
            np.savez_compressed(temporary, flow=flow.cpu().half().numpy(), back=back.cpu().half().numpy())
    except OSError as error:
        raise OutputError(f"The flow cache {file.parent} cannot be written ({error.strerror}).") from error


class EstimatedFlow(MeasuringFlow):
    """Flow of a network or of DIS, estimated in both directions and checked for consistency.

    cache     folder that keeps the flows (fp16), or None
    identity  what else the flows depend on: the clip's hash

    Raises OutputError when the cache cannot be written.
    """

    def __init__(
        self,
        name: str,
        estimator: FlowEstimator,
        weights: str | None = None,
        *,
        cache: Path | None = None,
        identity: str = "",
    ) -> None:
        self.name, self.weights = name, weights
        self._estimate, self._cache, self._identity = estimator, cache, identity

    def _file(self, number: int, size: tuple[int, ...]) -> Path | None:
        if self._cache is None:
            return None
        key = f"{self._identity} {size[1]}x{size[0]} {number} {self.name} {self.weights}"
        return self._cache / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"

    def _flows(self, number: int, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        file = self._file(number, tuple(current.shape[-2:]))
        if file is not None and file.is_file():
            try:
                stored = [torch.from_numpy(a).to(current.device).float() for a in read_npz(file, "flow", "back")]
                return stored[0], stored[1]
            except (OSError, ValueError):
                pass  # the file is damaged, so the flow is computed again
        flow, back = self._estimate(current, previous), self._estimate(previous, current)
        if file is not None:
            _keep(file, flow, back)
        return flow, back

    def __call__(self, number: int, current: Tensor, previous: Tensor) -> Pair:
        flow, back = (_rounded(x) for x in self._flows(number, current, previous))
        seen = consistency(flow, back) * inside(flow)
        return Pair(flow, seen * (1 - motion_boundary(flow)), 1 - seen)


def measuring_flow(
    clip: BenchClip, raft: Path | None, device: torch.device, *, offline: bool = False, cache: Path | None = None
) -> tuple[MeasuringFlow, str]:
    """The flow to measure a clip with, and a note (empty unless DIS had to be used).

    raft  weights of RAFT small; None: they are fetched. Raises WeightsError for given weights that cannot be used.
    """
    if clip.truth is not None:
        return TruthFlow(clip.truth), ""
    try:
        path = raft or fetch_named("raft_small", offline=offline)
    except WeightsError as error:
        note = f"measured with DIS, the stabilizer's own flow, which flatters it: {error}"
        return EstimatedFlow("dis", DisFlow(), cache=cache, identity=clip.sha256), note
    network = RaftFlow(path, device)
    return EstimatedFlow("raft", network, sha256(path), cache=cache, identity=clip.sha256), ""


class Chain:
    """Chains flow over several frames, and tracks how long each pixel was visible; ``reset`` where a shot begins."""

    def __init__(self) -> None:
        self._pairs: deque[Pair] = deque(maxlen=LONG)
        self.age: Tensor | None = None  # [1,1,H,W]: frames since the pixel was uncovered, or NEVER

    def reset(self) -> None:
        """Begin a new shot."""
        self._pairs.clear()
        self.age = None

    def add(self, pair: Pair) -> None:
        """Add the pair of a frame and the previous one."""
        self._pairs.append(pair)
        before = torch.full_like(pair.valid, NEVER) if self.age is None else self.age
        older = (warp(before, pair.flow, "nearest") + 1).clamp(max=NEVER)
        older = torch.where(older > NEVER / 2, torch.full_like(older, NEVER), older)
        self.age = torch.where(pair.occluded > 0, torch.zeros_like(older), older)

    def long(self) -> Pair | None:
        """This frame and the one ``LONG`` frames earlier, valid where every step is; None where the shot is shorter.

        F(t→t−n)(p) = F(t→t−1)(p) + F(t−1→t−n)(p + F(t→t−1)(p)).
        """
        if len(self._pairs) < LONG:
            return None
        last = self._pairs[-1]
        flow, valid = last.flow, last.valid
        for pair in list(self._pairs)[-2::-1]:
            # A position between a valid and an invalid pixel is not valid.
            valid = valid * (warp(pair.valid, flow) > 0.999).to(valid.dtype)
            flow = flow + warp(pair.flow, flow)
        return Pair(flow, valid * inside(flow), 1 - valid)

    def ghosts(self) -> tuple[Tensor, Tensor] | None:
        """Pixels uncovered within the last ``RECENT`` frames, and pixels never occluded; each [1,1,H,W] of 0 and 1."""
        if self.age is None:
            return None
        return (self.age < RECENT).float(), (self.age >= NEVER).float()
