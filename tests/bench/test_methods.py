"""Every method makes one picture for each frame, in order, blends nothing over a cut, and follows its equation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segnst import registry
from segnst.bench.methods import fixed_blend, frozen_norm, local_weights
from segnst.bench.samples import Bench, Context, NotApplicable, Remembering, Sample
from segnst.config import Settings
from segnst.flow.base import FlowEstimator
from segnst.flow.dis import DisFlow
from segnst.pipeline import Pipeline
from segnst.plan import parse_plan
from segnst.style.stylizer import PlanStylizer
from segnst.style.transformer import TransformerNetwork
from segnst.types import Motion
from tests.bench.make import sample, shift, tiny_style
from tests.clips import panning, texture

SIZE = (48, 64)
STILL = Motion(shift(0, *SIZE), torch.ones(1, 1, *SIZE))


def network() -> nn.Module:
    torch.manual_seed(3)
    return TransformerNetwork(4, 1).eval()


def pipeline(net: nn.Module | None = None) -> Pipeline:
    plan = parse_plan(["a"])
    return Pipeline(plan, PlanStylizer(plan, {"a": net or network()}, torch.device("cpu")))


CONTEXT = Context(DisFlow(), pipeline)


def samples(cut: int | None = None, count: int = 6) -> list[Sample]:
    frames = panning(count, *SIZE)
    torch.manual_seed(1)
    made = []
    for k, rgb in enumerate(frames.split(1)):
        fresh = k == 0 or k == cut
        motion = None if fresh else Motion(shift(2, *SIZE), torch.ones(1, 1, *SIZE))
        made.append(sample(k, rgb, torch.rand(1, 3, *SIZE), motion, cut=k == cut))
    return made


@pytest.mark.parametrize("name", registry.STABILITY_METHODS)
def test_as_many_as_came_in_and_none_from_another_scene(name: str) -> None:
    method = registry.get(registry.STABILITY_METHODS, name, "method")
    with torch.inference_mode():
        whole = list(method(iter(samples(cut=3)), CONTEXT))
        tail = [replace(s, number=s.number - 3) for s in samples(cut=3)[3:]]
        alone = list(method(iter(tail), CONTEXT))
    assert [w.shape for w in whole] == [(1, 3, *SIZE)] * 6
    assert torch.equal(torch.cat(whole[3:]), torch.cat(alone))
    assert list(method(iter([]), CONTEXT)) == []


def test_fixed_blend_keeps_four_fifths_of_the_past() -> None:
    a, b = torch.zeros(1, 3, *SIZE), torch.ones(1, 3, *SIZE)
    half = Motion(STILL.flow, torch.full((1, 1, *SIZE), 0.5))
    frames = [sample(0, a, a), sample(1, a, b, STILL), sample(2, a, b, half)]
    values = [float(out.mean()) for out in fixed_blend.run(iter(frames), CONTEXT)]
    assert values == pytest.approx([0, 0.2, 0.2 + 0.6 * 0.8])


def test_local_weights_trust_what_looks_the_same() -> None:
    rgb = texture(*SIZE)[None]
    a, b = torch.zeros(1, 3, *SIZE), torch.ones(1, 3, *SIZE)

    class Still(FlowEstimator):
        name = "still"

        def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
            return torch.zeros(1, 2, *current.shape[-2:])

    context = Context(Still(), pipeline)
    frames = [sample(0, rgb, a), sample(1, rgb, b, STILL), sample(2, rgb, b, STILL)]
    values = [float(out.mean()) for out in local_weights.run(iter(frames), context)]
    first = 0.3  # the next frame, which is 1, at weight 0.3
    second = 0.45 * first + 0.55 * (0.45 * 0 + 0.3 * 1 + 0.25 * 1)
    assert values == pytest.approx([first, second, 0.45 * second + 0.55 * (0.45 + 0.55)], rel=1e-4)
    other = 1 - rgb
    unlike = [sample(0, rgb, a), sample(1, (rgb + 0.5) % 1, b, STILL), sample(2, other, b, STILL)]
    assert list(local_weights.run(iter(unlike), context))[1].mean() > 0.98


def test_frozen_norm_uses_the_first_frames_statistics() -> None:
    net = network()
    context = Context(DisFlow(), lambda: pipeline(net))
    frames = [panning(1, *SIZE), 0.5 * panning(1, *SIZE, seed=4)]
    with torch.inference_mode():
        single = [pipeline(net).stylizer(rgb, None, None)[0] for rgb in frames]
        made = list(frozen_norm.run((sample(k, rgb, rgb) for k, rgb in enumerate(frames)), context))
        again = list(frozen_norm.run((sample(k, rgb, rgb) for k, rgb in enumerate(frames[1:])), context))
    assert torch.allclose(made[0], single[0], atol=2e-2)
    assert (made[1] - single[1]).abs().mean() > 0.005
    assert torch.allclose(again[0], single[1], atol=2e-2)


def test_frozen_norm_says_when_it_does_not_apply() -> None:
    plain = nn.Conv2d(3, 3, 1)
    with pytest.raises(NotApplicable, match="no instance norm"):
        next(frozen_norm.run(iter(samples()), Context(DisFlow(), lambda: pipeline(plain))))


def test_painting_is_done_once_for_both_pipelines(tmp_path: Path) -> None:
    bench = Bench.build(Settings(styles=(str(tiny_style(tmp_path)),), device="cpu"))
    (net,) = bench.plain.stylizer.networks.values()  # type: ignore[attr-defined]
    assert isinstance(net, Remembering)
    calls = []
    net.net.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        made = list(bench.samples(panning(5, *SIZE).split(1)))
    assert len(made) == len(calls) == 5
    assert torch.allclose(made[2][0].painted, made[2][0].ours.painted, atol=1e-6)
    assert [s.number for s, _ in made] == [0, 1, 2, 3, 4]
