from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from segnst.bench.clips import BenchClip, find_clip
from segnst.bench.measure import EstimatedFlow, TruthFlow, measuring_flow
from segnst.bench.truth import Truth, truth_of
from segnst.errors import InputError, OutputError, WeightsError
from segnst.flow.base import FlowEstimator
from tests.bench.make import rendered, shift
from tests.clips import panning

CPU = torch.device("cpu")


def test_truth_is_read_as_it_was_packed(tmp_path: Path) -> None:
    clip = rendered(tmp_path, 5, step=3, cut=2)
    truth = truth_of(clip)
    assert truth is not None
    assert (len(truth), truth.shape, truth.cuts) == (5, (48, 64), (2,))
    assert np.array_equal(truth.flow(1)[..., 0], np.full((48, 64), 3))
    assert truth.occluded(1)[0].tolist() == [False] * 61 + [True] * 3
    assert truth.occluded(2).all()
    assert set(np.unique(truth.mask(4)).tolist()) == {0, 7}
    with pytest.raises(IndexError):
        truth.flow(5)
    assert truth_of(tmp_path / "pan") is None
    assert truth_of(tmp_path / "other.mp4") is None


def test_broken_truth_is_named(tmp_path: Path) -> None:
    (tmp_path / "flow.npz").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(InputError, match=r"flow\.npz is not the truth"):
        Truth(tmp_path)


def test_exact_flow_follows_the_frames_size(tmp_path: Path) -> None:
    truth = truth_of(rendered(tmp_path, 3, step=4))
    assert truth is not None
    flow = TruthFlow(truth)
    whole = flow(1, torch.zeros(1, 3, 48, 64), torch.zeros(1, 3, 48, 64))
    half = flow(1, torch.zeros(1, 3, 24, 32), torch.zeros(1, 3, 24, 32))
    assert whole.flow[0, :, 5, 5].tolist() == [4, 0]
    assert half.flow[0, :, 5, 5].tolist() == [2, 0]
    assert whole.valid[0, 0, 5].tolist() == [1.0] * 60 + [0.0] * 4
    assert half.valid[0, 0, 5].tolist() == [1.0] * 30 + [0.0] * 2
    with pytest.raises(InputError, match="more frames than its truth"):
        flow(3, torch.zeros(1, 3, 48, 64), torch.zeros(1, 3, 48, 64))


class Counting(FlowEstimator):
    name = "counting"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
        self.calls += 1
        return shift(2.3 if self.calls % 2 else -2.3, 48, 64)


def test_flows_are_kept_in_the_cache_and_equal_fresh_ones(tmp_path: Path) -> None:
    frames = panning(2)
    first, counting = tmp_path / "cache", Counting()
    fresh = EstimatedFlow("raft", counting, "w", cache=first, identity="clip")(1, frames[1:], frames[:1])
    again = EstimatedFlow("raft", counting, "w", cache=first, identity="clip")(1, frames[1:], frames[:1])
    assert counting.calls == 2, "the second time comes from the cache"
    assert torch.equal(fresh.flow, again.flow)
    assert torch.equal(fresh.valid, again.valid)
    EstimatedFlow("raft", counting, "other weights", cache=first, identity="clip")(1, frames[1:], frames[:1])
    assert counting.calls == 4
    for file in first.glob("*.npz"):
        file.write_bytes(b"cut off")
    EstimatedFlow("raft", counting, "w", cache=first, identity="clip")(1, frames[1:], frames[:1])
    assert counting.calls == 6, "a broken file is made again"
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="flow cache"):
        EstimatedFlow("raft", counting, "w", cache=tmp_path / "file" / "x")(1, frames[1:], frames[:1])


def test_truth_first_then_raft_then_dis_with_a_note(tmp_path: Path, no_weights: None) -> None:
    flow, note = measuring_flow(find_clip(rendered(tmp_path)), None, CPU, offline=True)
    assert (flow.name, note) == ("truth", "")
    clip = BenchClip("x", tmp_path / "x.mp4", "00")
    flow, note = measuring_flow(clip, None, CPU, offline=True)
    assert flow.name == "dis"
    assert "the stabilizer's own flow" in note
    with pytest.raises(WeightsError, match="does not exist"):
        measuring_flow(clip, tmp_path / "missing.safetensors", CPU)


def test_raft_measures_where_there_is_no_truth(shared: Path) -> None:
    clip = BenchClip("x", Path("x.mp4"), "00")
    flow, note = measuring_flow(clip, shared / "networks" / "raft_small.safetensors", CPU)
    frames = panning(2, 128, 128, step=3)
    found = flow(1, frames[1:], frames[:1])
    assert (flow.name, note) == ("raft", "")
    assert flow.weights
    assert found.flow[0, 0, 40:90, 40:90].median() == pytest.approx(3, abs=0.3)
