"""Training of a style: a tiny network on tiny photos, really trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch

from segnst.errors import InputError, OutputError, UsageError, WeightsError
from segnst.pixels import to_bytes
from segnst.style.checkpoints import load_style
from segnst.train.photos import Photos
from segnst.train.run import Progress
from segnst.train.settings import StyleSettings
from segnst.train.style import train_style
from segnst.weights import write_tensors
from tests.clips import texture

TINY = StyleSettings(
    width=4, iterations=6, batch=2, crop=32, style_size=48, content_layer="relu1_2",
    style_layers=("relu1_1", "relu1_2"), deep_layers=(), warmup=2, temporal_from=0.5,
)  # fmt: skip


@pytest.fixture
def material(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "labels").mkdir(parents=True)
    for k in range(3):
        cv2.imwrite(str(tmp_path / "photos" / f"{k}.png"), to_bytes(texture(40, 56, k)))
    cv2.imwrite(str(tmp_path / "photos" / "labels" / "0.png"), to_bytes(texture(40, 56)))
    cv2.imwrite(str(tmp_path / "painting.jpg"), to_bytes(texture(60, 60, 9)))
    torch.manual_seed(0)
    shapes = {"features.0": (8, 3), "features.2": (8, 8)}
    vgg = {f"{k}.weight": 0.2 * torch.randn(*s, 3, 3) for k, s in shapes.items()} | {
        f"{k}.bias": torch.zeros(8) for k in shapes
    }
    write_tensors(tmp_path / "vgg.safetensors", vgg, {}, half=False)
    return tmp_path


def train(material: Path, settings: StyleSettings = TINY, work: str = "work", **options: object) -> Path:
    given = {"out": material / "out", "features": str(material / "vgg.safetensors"), "overwrite": True} | options
    return train_style(
        material / "painting.jpg", [material / "photos"], "mine", work=material / work, settings=settings,
        **given,  # type: ignore[arg-type]
    )  # fmt: skip


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_style(str(path)).net.state_dict())


def test_a_style_is_trained_and_loads(material: Path) -> None:
    path = train(material, title="A, B, 1900", terms="public domain")
    style = load_style(str(path))
    assert style.metadata["title"] == "A, B, 1900"
    assert style.net(torch.rand(1, 3, 20, 20)).shape == (1, 3, 20, 20)
    card = path.with_suffix(".md").read_text()
    assert "3 from `photos`" in card, "label maps are no photos"
    assert "public domain" in card
    history = json.loads((material / "work/mine/history.json").read_text())
    assert [i for i, _ in history["total"]] == [1, 2, 3, 4, 5, 6]
    assert [i for i, _ in history["temporal"]] == [4, 5, 6]
    assert (material / "work/mine/curves.png").exists()
    assert list((material / "work/mine").glob("preview_*.png"))


def test_an_interrupted_training_goes_on_to_the_same_end(material: Path) -> None:
    whole = _tensors(train(material, work="whole"))

    def interrupting(progress: Progress) -> None:
        if progress.iteration == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(material, work="cut", save_seconds=0.0, report=interrupting)
    resumed = _tensors(train(material, work="cut"))
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_a_style_that_exists_is_not_replaced_unasked(material: Path) -> None:
    before = train(material).read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        train(material, replace(TINY, seed=5), work="other", overwrite=False)
    assert (material / "out" / "mine.safetensors").read_bytes() == before


def test_a_run_can_end_early(material: Path) -> None:
    train(material, stop_at=3)
    history = json.loads((material / "work/mine/history.json").read_text())
    assert [i for i, _ in history["total"]] == [1, 2, 3]


def test_other_settings_do_not_resume(material: Path) -> None:
    train(material)
    with pytest.raises(UsageError, match=r"other settings: seed was 1 and is now 2\."):
        train(material, replace(TINY, seed=2))
    train(material, replace(TINY, seed=2), restart=True)


def test_starting_from_another_style(material: Path) -> None:
    first = train(material, replace(TINY, width=4))
    train(material, work="second", init=first)
    with pytest.raises(WeightsError, match="width 8"):
        train(material, replace(TINY, width=8), work="third", init=first)


def test_a_loss_that_explodes_stops_with_words(material: Path) -> None:
    with pytest.raises(UsageError, match="no longer finite"):
        train(material, replace(TINY, learning_rate=1e20, iterations=40))


def test_broken_run_files_are_named(material: Path) -> None:
    (material / "work/mine").mkdir(parents=True)
    (material / "work/mine/run.pt").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"run\.pt"):
        train(material)


def test_unusable_data_is_named(material: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Photos([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="No photo"):
        Photos([tmp_path / "empty"])
    (tmp_path / "empty" / "a.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"a\.jpg"):
        Photos([tmp_path / "empty"]).crops(1, 32, torch.Generator(), plain=0)


def test_what_cannot_begin_leaves_no_folders(material: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        train_style(
            material / "painting.jpg", [material / "none"], "mine", out=material / "out", work=material / "work",
            settings=TINY, features=str(material / "vgg.safetensors"),
        )  # fmt: skip
    assert not (material / "out").exists() and not (material / "work").exists()


def test_crops_repeat_with_their_seed_and_stay_in_range(material: Path) -> None:
    photos = Photos([material / "photos"])
    a, b = (photos.crops(6, 32, torch.Generator().manual_seed(5), plain=0.5) for _ in range(2))
    assert torch.equal(a, b)
    assert a.shape == (6, 3, 32, 32)
    assert 0 <= a.min() <= a.max() <= 1
