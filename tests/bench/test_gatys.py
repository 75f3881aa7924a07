"""The plain loop and segnst's optimization, on a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segnst.bench.gatys import measure
from segnst.perceptual.encoders import load_encoder
from tests.clips import texture
from tests.material import write_vgg


def test_both_paint_and_are_measured_alike(tmp_path: Path) -> None:
    write_vgg(tmp_path / "vgg.safetensors")
    facts = measure(
        lambda: load_encoder(tmp_path / "vgg.safetensors"), texture(64, 64, 1)[None], texture(64, 64, 2)[None], steps=30
    )
    mean = facts["mean"]
    assert facts["loss_ratio"] == pytest.approx(mean["segnst"]["total"] / mean["reference"]["total"])
    assert mean["segnst"]["total"] < 1.1 * mean["reference"]["total"]
    json.dumps(facts)
