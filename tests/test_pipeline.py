from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segnst.errors import PlanError
from segnst.flow.dis import DisFlow
from segnst.pipeline import Pipeline, State, compose, layers_that_keep_colors, plan_regions
from segnst.plan import parse_plan
from segnst.stabilize.masks import Edge
from segnst.stabilize.output import BlendStabilizer
from segnst.style.stylizer import PlanStylizer
from segnst.style.transformer import TransformerNetwork
from segnst.types import LayerMasks
from tests.clips import HalfSegmenter, as_clip, panning, texture

CPU = torch.device("cpu")


def make(*entries: str, steady: bool = True, **options: object) -> Pipeline:
    plan = parse_plan(entries)
    torch.manual_seed(3)
    nets = {name: TransformerNetwork(4, 1) for name in plan.styles}
    return Pipeline(
        plan,
        PlanStylizer(plan, nets, CPU),
        segmenter=None if plan.whole_frame else HalfSegmenter(),
        flow=DisFlow() if steady else None,
        stabilizer=BlendStabilizer() if steady else None,
        **options,  # type: ignore[arg-type]
    )


def test_pieces_equal_the_whole() -> None:
    clip = as_clip(panning(9))
    pipeline = make("car=a", "background=b")
    whole, _ = pipeline(clip, State())
    state, parts = State(), []
    for piece in (slice(0, 4), slice(4, 5), slice(5, 9)):
        out, state = pipeline(replace(clip, rgb=clip.rgb[piece], pts=clip.pts[piece]), state)
        parts.append(out.rgb)
    assert torch.equal(whole.rgb, torch.cat(parts))


def test_times_and_shapes_are_kept() -> None:
    clip = as_clip(panning(3, 45, 67))
    out = list(make("a").run([clip]))
    assert out[0].pts == clip.pts
    assert out[0].rgb.shape == clip.rgb.shape
    assert 0 <= out[0].rgb.min() <= out[0].rgb.max() <= 1


@pytest.mark.parametrize("plan", [["original"], ["a@0"], ["car=a@0", "background=original"]])
def test_original_and_strength_zero_are_the_source_exactly(plan: list[str]) -> None:
    clip = as_clip(panning(3))
    out, _ = make(*plan)(clip, State())
    assert torch.equal(out.rgb, clip.rgb)


def test_original_beside_a_style_is_the_source_exactly_away_from_the_border() -> None:
    clip = as_clip(panning(4))
    out, _ = make("car=a", "background=original", edge=Edge("hard"))(clip, State())
    assert torch.equal(out.rgb[..., 40:], clip.rgb[..., 40:])
    assert (out.rgb[..., :20] - clip.rgb[..., :20]).abs().mean() > 0.02


def test_strength_is_monotone() -> None:
    rgb = panning(1)
    distance = []
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        styled, _ = make(f"a@{strength}").frame(rgb, State())
        distance.append(float((styled.rgb - rgb).abs().mean()))
    assert distance == sorted(distance)
    assert distance[0] == 0 < distance[1]


def test_kept_colors_change_luminance_only() -> None:
    rgb = 0.25 + 0.5 * texture(48, 64)[None]
    steady = 0.25 + 0.5 * texture(48, 64, seed=5)[None]
    out = compose(rgb, steady, None, [1.0], keep_colors=[True])
    difference = out - rgb
    assert torch.allclose(difference[:, 0], difference[:, 1], atol=1e-6)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert torch.allclose((out * luma).sum(1), (steady * luma).sum(1), atol=1e-5)


def test_colors_are_kept_by_layer() -> None:
    rgb, steady = 0.25 + 0.5 * texture(8, 8)[None], 0.25 + 0.5 * texture(8, 8, seed=5)[None]
    soft = torch.zeros(1, 2, 8, 8)
    soft[:, 0, :, :4], soft[:, 1, :, 4:] = 1, 1
    plan = parse_plan(["car=a", "background=b"])
    keep = layers_that_keep_colors(plan, False, ["car"])
    assert keep == (True, False)
    out = compose(rgb, steady, LayerMasks(soft, plan.layers), [1.0, 1.0], keep)
    assert torch.allclose(out[..., 4:], steady[..., 4:], atol=1e-6)
    difference = (out - rgb)[..., :4]
    assert torch.allclose(difference[:, 0], difference[:, 1], atol=1e-6)
    with pytest.raises(PlanError, match="Did you mean 'car'"):
        layers_that_keep_colors(plan, False, ["cra"])


def test_a_cut_begins_anew() -> None:
    frames = torch.cat((panning(4, step=1, seed=1), panning(3, step=1, seed=8)))
    pipeline = make("car=a", "background=b")
    state = State()
    cuts = []
    for frame in frames.split(1):
        styled, state = pipeline.frame(frame, state)
        cuts.append(styled.cut)
    assert cuts == [False] * 4 + [True] + [False] * 2
    fresh = State()
    for frame in frames[4:].split(1):
        styled_alone, fresh = pipeline.frame(frame, fresh)
    assert torch.equal(styled.rgb, styled_alone.rgb), "nothing of the first scene is left"


def test_class_names_resolve_and_conflicts_are_named() -> None:
    segmenter = HalfSegmenter()
    assert plan_regions(parse_plan(["car,bus=a"]), segmenter)[0][0].name == "vehicle"
    with pytest.raises(PlanError, match="'car' and 'bus' are the same class"):
        plan_regions(parse_plan(["car=a", "bus=b"]), segmenter)
    assert plan_regions(parse_plan(["car=a", "bus=a"]), segmenter)[1] == ()
    with pytest.raises(PlanError, match=r"Did you mean 'person'\? It knows: other, vehicle, person"):
        plan_regions(parse_plan(["persn=a"]), segmenter)


def test_compose_by_mask_and_strength() -> None:
    rgb, steady = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    soft = torch.zeros(1, 3, 4, 4)
    soft[:, 0, :, 0], soft[:, 1, :, 1], soft[:, 2, :, 2:] = 1, 1, 1
    plan = parse_plan(["car=a", "person=b@0.5"])
    out = compose(rgb, steady, LayerMasks(soft, plan.layers), [1.0, 0.5, 0.0])
    assert out[0, 0, 0].tolist() == [1, 0.5, 0, 0]


def test_time_is_counted_by_stage() -> None:
    pipeline = make("car=a")
    pipeline(as_clip(panning(2)), State())
    assert {"segment", "masks", "flow", "stylize", "stabilize", "compose"} <= set(pipeline.seconds)
