"""`segnst compare` with a bundled style, a tiny one and both optimizers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import torch

from segnst.style.transformer import TransformerNetwork
from segnst.weights import write_tensors
from tests.conftest import Run


def test_methods_stand_side_by_side(run: Run, material: Path) -> None:
    torch.manual_seed(0)
    write_tensors(Path("tiny.safetensors"), TransformerNetwork(4, 1).state_dict(), {"format": "segnst-johnson"})
    code, _, err = run(
        "compare", material / "photo.png", "--painting", material / "red.png", "-o", "study",
        "--methods", "lbfgs,adam,tiny.safetensors", "--steps", "8", "--features", material / "vgg.safetensors",
        "--clip", material / "clip.mp4", "--clip-frames", "3", "--clip-steps", "4", "--clip-size", "64", "--offline",
    )  # fmt: skip
    assert code == 0, err
    facts = json.loads(Path("study.json").read_text())
    rows = facts["methods"]
    assert list(rows) == ["lbfgs", "adam", "tiny.safetensors"]
    assert rows["lbfgs"]["losses"]["style"] < rows["tiny.safetensors"]["losses"]["style"]
    assert all(r["seconds"] > 0 and r["e_warp"] is not None for r in rows.values())
    text = Path("study.md").read_text()
    assert text.count("\n| ") == 4
    assert str(material) not in text + Path("study.json").read_text()
    assert cv2.imread("study.png") is not None


def test_an_unknown_method_is_suggested_before_any_work(run: Run, material: Path) -> None:
    code, _, err = run(
        "compare", material / "photo.png", "--painting", material / "red.png", "-o", "study", "--methods",
        "stary_night", "--features", material / "vgg.safetensors",
    )  # fmt: skip
    assert code == 2, "as for every name that is not known"
    assert "Did you mean 'starry_night'" in err
    assert not list(Path().iterdir())
