from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from segnst.bench.style_kept import StyleMeter, guided_gram, load_features, paintings_by_layer
from segnst.errors import WeightsError
from segnst.perceptual.encoders import Encoder
from segnst.plan import parse_plan
from tests.clips import texture


def encoder() -> Encoder:
    generator = torch.Generator().manual_seed(1)

    def conv(inputs: int, outputs: int) -> tuple[Tensor, Tensor]:
        return torch.randn(outputs, inputs, 3, 3, generator=generator) / inputs, torch.zeros(outputs)

    first = (2 * torch.eye(3)[:, :, None, None], -torch.ones(3))  # gray is 0
    return Encoder("small", {"relu1_1": conv(3, 8), "relu2_1": conv(8, 8)}, first)


def test_style_is_one_for_per_frame_and_falls_with_contrast() -> None:
    painted, source = texture(64, 64)[None], texture(64, 64, seed=4)[None]
    meter = StyleMeter(encoder(), {"": painted})
    outputs = {"source": source, "per-frame": painted, "gray": torch.full_like(painted, 0.5)}
    outputs["half"] = 0.5 + 0.5 * (painted - 0.5)
    meter.add(outputs, {})
    assert meter.figures("per-frame")["style[relu1_1]"] == pytest.approx(1)
    assert meter.figures("half")["style[relu2_1]"] == pytest.approx(0.25, rel=1e-3)  # Gram matrices are squares
    assert meter.figures("gray")["style[relu1_1]"] == pytest.approx(0, abs=1e-6)
    # per-frame styling is the painting itself here, so there is no distance to divide by
    assert meter.figures("half")["style_distance[relu1_1]"] is None


def test_distance_to_the_painting_is_one_for_per_frame_and_grows() -> None:
    painted, painting = texture(64, 64)[None], texture(64, 64, seed=2)[None]
    meter = StyleMeter(encoder(), {"": painting})
    meter.add({"per-frame": painted, "gray": torch.full_like(painted, 0.5), "painting": painting}, {})
    assert meter.figures("per-frame")["style_distance[relu1_1]"] == pytest.approx(1)
    assert (meter.figures("gray")["style_distance[relu1_1]"] or 0) > 1.5
    assert meter.figures("painting")["style_distance[relu1_1]"] == pytest.approx(0, abs=1e-5)


def test_layers_of_the_plan_have_their_own_style() -> None:
    painted = texture(64, 64)[None]
    left = torch.zeros(1, 1, 64, 64)
    left[..., :32] = 1
    output = painted.clone()
    output[..., 32:] = 0.5
    meter = StyleMeter(
        encoder(), paintings_by_layer({"a": painted}, parse_plan(["car=x/a.safetensors", "background=b"]))
    )
    meter.add({"per-frame": painted, "ours": output}, {"car": left, "background": 1 - left})
    found = meter.figures("ours")
    assert found["style[relu1_1@car]"] == pytest.approx(1, abs=0.05)
    assert found["style[relu1_1@background]"] == pytest.approx(0, abs=0.05)
    assert "style_distance[relu1_1@car]" in found
    assert "style_distance[relu1_1@background]" not in found
    assert guided_gram(texture(8, 8)[None], torch.zeros(1, 1, 8, 8)) is None


def test_frames_looked_at() -> None:
    assert [k for k in range(25) if StyleMeter.wants(k)] == [4, 12, 20]


def test_features_that_cannot_be_had_are_noted(no_weights: None, tmp_path: Path) -> None:
    found, digest, note = load_features(None, offline=True)
    assert (found, digest) == (None, "")
    assert "not measured" in note
    with pytest.raises(WeightsError, match="neither VGG16 nor VGG19"):
        from segnst.weights import write_tensors

        write_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
        load_features(tmp_path / "x.safetensors", offline=True)
