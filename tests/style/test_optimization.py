"""The optimization itself: steps, scales, regions, motion."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segnst.errors import InputError, UsageError
from segnst.flow.dis import DisFlow
from segnst.perceptual.encoders import Encoder, load_encoder
from segnst.perceptual.loss_weights import LossWeights, parse_layers
from segnst.perceptual.objective import Objective, StyleRegion
from segnst.pipeline import Pipeline, State
from segnst.plan import parse_plan
from segnst.style.lbfgs import Lbfgs
from segnst.style.optimization import Diverged, optimize, plan_scales
from segnst.style.optimization_settings import OptimizeSettings
from segnst.style.optimization_stylizer import OptimizingStylizer, match_colors
from segnst.types import LayerMasks
from tests.clips import HalfSegmenter, panning, texture
from tests.material import write_vgg


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    path = tmp_path_factory.mktemp("vgg") / "vgg.safetensors"
    write_vgg(path)
    return load_encoder(path)


def builder(encoder: Encoder, content: Tensor, painting: Tensor):  # type: ignore[no-untyped-def]
    return lambda size: Objective(
        encoder, LossWeights(), torch.nn.functional.interpolate(content, size), [StyleRegion([(painting, 1.0)])]
    )


def test_lbfgs_solves_a_badly_scaled_quadratic_that_gradients_do_not() -> None:
    curvature = torch.logspace(0, 3, 40)
    x, plain = torch.full((40,), 0.3), torch.full((40,), 0.3)
    method = Lbfgs()
    for _ in range(60):
        method.step(x, curvature * x)
        plain -= 1e-3 * curvature * plain
    assert float((curvature * x.square()).sum()) < 0.05 * float((curvature * plain.square()).sum())


@pytest.mark.parametrize(("size", "steps", "scales"), [((512, 384), 300, 0), ((64, 64), 5, 0), ((300, 512), 2, 4)])
def test_scales_use_up_the_steps_and_end_at_full_size(size: tuple[int, int], steps: int, scales: int) -> None:
    plan = plan_scales(size, steps, scales)
    assert sum(n for _, n in plan) == steps
    assert plan[-1][0] == size
    assert plan == sorted(plan)
    assert len(plan) == {512: 3, 64: 1, 300: 2}[size[0]]


def test_the_picture_is_the_one_that_the_last_losses_are_of(encoder: Encoder) -> None:
    content, painting = texture(32, 32, 1)[None], texture(32, 32, 2)[None]
    build = builder(encoder, content, painting)
    result = optimize(build, content, OptimizeSettings(steps=8, optimizer="adam"))
    total, _ = build((32, 32))(result.picture)
    assert float(total) == pytest.approx(float(result.losses[-1]["total"]), rel=1e-5)


def test_it_stops_where_nothing_changes_and_says_so(encoder: Encoder) -> None:
    content = texture(32, 32, 1)[None]
    weights = LossWeights(style_weight=0.0, tv_weight=0.0)
    result = optimize(lambda size: Objective(encoder, weights, content, []), content, OptimizeSettings(steps=50))
    assert result.converged
    assert len(result.losses) == 1


def test_a_loss_that_ends_keeps_the_last_good_picture() -> None:
    def cliff(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return (x.mean() + (x.mean() - 0.4).sqrt()), {}

    start = torch.full((1, 3, 8, 8), 0.45)
    with pytest.raises(Diverged) as stopped:
        optimize(lambda size: cliff, start, OptimizeSettings(steps=90))  # type: ignore[arg-type,return-value]
    assert stopped.value.step > 2
    assert 0.4 < float(stopped.value.picture.mean()) < 0.45
    assert len(stopped.value.losses) == stopped.value.step - 1


def test_regions_are_held_to_their_own_paintings(encoder: Encoder) -> None:
    left, right = texture(32, 32, 5)[None] * 0.4, texture(32, 32, 6)[None]
    picture = torch.cat((left, right), 3)
    mask = torch.zeros(1, 1, 32, 64)
    mask[..., :32] = 1
    weights = LossWeights(style_layers=(("relu1_1", 1.0),), content_weight=0.0)

    def style(first: Tensor, second: Tensor) -> float:
        regions = [StyleRegion([(first, 1.0)], mask, "a"), StyleRegion([(second, 1.0)], 1 - mask, "b")]
        return float(Objective(encoder, weights, picture, regions)(picture)[1]["style"])

    assert style(left, right) < 0.01
    assert style(right, left) > 0.3


def test_two_paintings_are_met_half_way(encoder: Encoder) -> None:
    a, b = texture(32, 32, 5)[None], texture(32, 32, 6)[None] * 0.5
    objective = Objective(encoder, LossWeights(), a, [StyleRegion([(a, 0.25), (b, 0.75)])])
    only_a, only_b = (Objective(encoder, LossWeights(), a, [StyleRegion([(p, 1.0)])]) for p in (a, b))
    for layer, target in objective.grams[0].items():
        assert torch.allclose(target, 0.25 * only_a.grams[0][layer] + 0.75 * only_b.grams[0][layer])


def test_normalized_activations_have_mean_one(encoder: Encoder) -> None:
    content = texture(32, 32, 1)[None]
    objective = Objective(encoder, LossWeights(normalize=True), content, [StyleRegion([(content, 1.0)])])
    means = objective.features(content, {"relu1_1"})["relu1_1"].mean((2, 3))
    assert float(means.max()) == pytest.approx(1, abs=1e-4)


def test_matched_colors_have_the_contents_mean_and_spread() -> None:
    content, painting = 0.3 + 0.3 * texture(40, 40, 1)[None], 0.4 + 0.2 * texture(30, 50, 2)[None]
    matched = match_colors(painting, content)
    flat, want = matched[0].flatten(1), content[0].flatten(1)
    assert torch.allclose(flat.mean(1), want.mean(1), atol=2e-3)
    assert torch.allclose(torch.cov(flat), torch.cov(want), atol=2e-4)


def pipeline(encoder: Encoder, entries: list[str], **options: object) -> Pipeline:
    plan = parse_plan(entries)
    paintings = {name: texture(40, 40, k)[None] for k, name in enumerate(plan.styles, 7)}
    settings = OptimizeSettings(steps=6, frame_steps=3)
    stylizer = OptimizingStylizer(plan, paintings, encoder, settings, **options)  # type: ignore[arg-type]
    flow = DisFlow() if "flow" in options else None
    segmenter = None if plan.whole_frame else HalfSegmenter()
    return Pipeline(plan, stylizer, segmenter=segmenter, flow=flow)


def test_what_stays_original_is_the_source_exactly(encoder: Encoder) -> None:
    rgb = texture(48, 64, 1)[None]
    styled, _ = pipeline(encoder, ["vehicle=a"]).frame(rgb, State())
    assert styled.masks is not None
    untouched = styled.masks.soft[:, :1] == 0
    assert torch.equal(torch.where(untouched, styled.rgb, rgb), rgb)
    assert float((styled.rgb - rgb)[..., :16].abs().mean()) > 0.01


def test_a_frame_starts_from_the_warped_last(encoder: Encoder) -> None:
    frames = panning(2, 64, 64)
    moving = pipeline(encoder, ["a"], flow=DisFlow())
    _, state = moving.frame(frames[:1], State())
    moving.frame(frames[1:], state)
    first, second = moving.stylizer.results  # type: ignore[attr-defined]
    assert (len(first), len(second)) == (6, 3)
    assert second[0]["style"] < 0.5 * first[0]["style"], "the second frame starts with the strokes of the first"
    assert second[0]["temporal"] < 0.01


def test_a_region_that_is_nowhere_is_an_error(encoder: Encoder) -> None:
    plan = parse_plan(["vehicle=a"])
    stylizer = OptimizingStylizer(plan, {"a": texture(40, 40)[None]}, encoder, OptimizeSettings(steps=2))
    soft = torch.cat((torch.zeros(1, 1, 48, 64), torch.ones(1, 1, 48, 64)), 1)
    with pytest.raises(InputError, match="no 'vehicle'"):
        stylizer(texture(48, 64)[None], LayerMasks(soft, plan.layers), None)


def test_layers_too_deep_for_a_picture_are_named(encoder: Encoder) -> None:
    small = texture(16, 3)[None]
    with pytest.raises(UsageError, match="too small for the layer relu2_1, which needs 4 px"):
        Objective(encoder, LossWeights(), small, [StyleRegion([(small, 1.0)])])


@pytest.mark.parametrize("text", ["relu1_1:x", "relu1_1:-1", "relu1_1,relu1_1"])
def test_layer_weights_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="relu1_1"):
        parse_layers(text)
