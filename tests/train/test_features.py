"""Distilling a perceptual network: a tiny teacher, really distilled."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import torch

from segnst.errors import OutputError, SegnstWarning, UsageError
from segnst.perceptual.encoders import load_encoder
from segnst.pixels import to_bytes
from segnst.train.features import agreement, train_features
from segnst.train.features_fit import reduced_rank
from segnst.train.settings import FeatureSettings
from segnst.weights import bundled_dir, write_tensors
from tests.clips import texture
from tests.material import write_vgg

TINY = FeatureSettings(
    ranks=(("relu1_1", 8), ("relu1_2", 8), ("relu2_1", 10), ("relu3_1", 4)),
    photos=6, positions=200, crop=32,
)  # fmt: skip


@pytest.fixture
def material(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for k in range(4):
        cv2.imwrite(str(tmp_path / "photos" / f"{k}.png"), to_bytes(texture(48, 56, k)))
    write_vgg(tmp_path / "vgg.safetensors")
    shapes = {"11": (4, 3), "12": (4, 4), "21": (6, 4), "31": (5, 6)}
    torch.manual_seed(1)
    deep = {f"conv{k}.weight": torch.randn(*s, 3, 3) / (3 * s[1]) ** 0.5 for k, s in shapes.items()}
    deep |= {f"conv{k}.bias": torch.zeros(s[0]) for k, s in shapes.items()}
    deep |= {"conv0.weight": torch.eye(3)[:, :, None, None], "conv0.bias": torch.zeros(3)}
    write_tensors(tmp_path / "deep.safetensors", deep, {}, half=False)
    return tmp_path


def distil(material: Path, settings: FeatureSettings = TINY, work: str = "work", **options: object) -> Path:
    given = {"out": material / "out", "overwrite": True} | options
    return train_features(
        [material / "photos"], "mine", teacher=material / "vgg.safetensors",
        deep_teacher=material / "deep.safetensors", work=material / work, settings=settings,
        **given,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_student_answers_as_its_teacher(material: Path) -> None:
    path = distil(material, terms="public domain")
    student, teacher = load_encoder(path), load_encoder(material / "vgg.safetensors")
    assert student.layers == ("relu1_1", "relu1_2", "relu2_1", "relu3_1")
    table = agreement(student, teacher, [texture(32, 32, 9)[None]], teacher.layers)
    assert table["relu1_2"][0] < 1e-3
    assert table["relu2_1"][0] < 0.05, "rank 10 of 12"
    card = path.with_suffix(".md").read_text()
    assert "public domain" in card
    assert "| relu3_1 | 4 of 5 |" in card


def test_other_settings_need_a_restart(material: Path) -> None:
    distil(material)
    with pytest.raises(UsageError, match="other settings: photos was 6 and is now 5; positions was 200 and is now 500"):
        distil(material, FeatureSettings(ranks=TINY.ranks, photos=5, crop=32))
    with pytest.raises(OutputError, match="exists already"):
        distil(material, overwrite=False)


def test_a_map_of_low_rank_is_found_exactly() -> None:
    torch.manual_seed(0)
    true = torch.randn(6, 2) @ torch.randn(2, 18)
    x = torch.randn(500, 18, dtype=torch.double)
    y = x @ true.double().T + 3
    mean_x, mean_y = x.mean(0), y.mean(0)
    xx, xy = (x - mean_x).T @ (x - mean_x) / 500, (x - mean_x).T @ (y - mean_y) / 500
    (down, up, bias), lost = reduced_rank(xx, xy, mean_x, mean_y, 2, 1e-9)
    assert lost < 1e-6
    assert torch.allclose(up[:, :, 0, 0] @ down.flatten(1), true, atol=1e-3)
    assert torch.allclose(bias, torch.full((6,), 3.0), atol=1e-3)


def test_the_bundled_encoder_stands_in_where_vgg_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.warns(SegnstWarning, match="stands in for vgg19"):
        encoder = load_encoder("vgg19", offline=True)
    assert encoder.name == "small"
    assert {"relu3_4", "relu4_2", "relu5_1"} <= set(encoder.layers)
    assert (bundled_dir() / "features_small.safetensors").stat().st_size <= 4e6


def test_the_bundled_encoder_answers_as_vgg19(shared: Path) -> None:
    teacher = load_encoder(shared / "networks/vgg19_to_relu3_4.safetensors")
    photo = cv2.imread(str(shared / "photos/bsds500/100007.jpg"))[:128, :128, ::-1].copy()
    rgb = torch.from_numpy(photo).permute(2, 0, 1).float()[None] / 255
    for layer, (features, grams) in agreement(load_encoder("small"), teacher, [rgb], teacher.layers).items():
        assert features < 0.02, layer
        assert grams < 0.01, layer
