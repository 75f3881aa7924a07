from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.errors import InputError, UsageError
from segnst.masks import labeled
from segnst.masks.classes import STREET, regions_from_names
from segnst.masks.indexed_png import write_png
from segnst.segmentation.base import resolve
from segnst.segmentation.networks import deeplab
from segnst.train import segmentation_data as data
from segnst.train import segmenter as training
from segnst.train.segmenter import train_segmenter
from segnst.train.segmenter_folders import DataFolder, with_names
from segnst.train.segmenter_start import start_from
from segnst.train.settings import SegmenterSettings

FAST = SegmenterSettings(
    iterations=4, batch=2, crop=65, lr=1e-3, frozen=0, hold_back=4, validate_every=2, save_every=1, long_side=65
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real network, but narrow behind the backbone."""
    real = training.start_from

    def narrow(path: Path | None, regions: tuple[object, ...]) -> torch.nn.Module:
        if path is not None:
            return real(path, regions)  # type: ignore[arg-type]
        network = training.DeepLab(len(regions), width=16, atrous=8, detail=8)
        network.start_from_scratch()
        return network

    monkeypatch.setattr(training, "start_from", narrow)


def toys(folder: Path, count: int = 10, size: tuple[int, int] = (48, 64), value: int = 1) -> Path:
    """Bright squares on dark ground: a data set of two classes."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for k in range(count):
        image = rng.integers(0, 60, (*size, 3), dtype=np.uint8)
        label = np.zeros(size, np.uint8)
        y, x = rng.integers(4, 20, 2)
        image[y : y + 24, x : x + 24] += 180
        label[y : y + 24, x : x + 24] = value
        cv2.imwrite(str(folder / f"images/{k}.jpg"), image)
        write_png(folder / f"labels/{k}.png", label)
    return folder


def test_a_strangers_folder_of_two_classes_is_learned(tmp_path: Path) -> None:
    settings = dataclasses.replace(FAST, iterations=24, batch=4, validate_every=24)
    losses: list[float] = []
    best = train_segmenter(
        [DataFolder(toys(tmp_path / "toys"))],
        tmp_path / "out",
        classes=["ground", "square"],
        settings=settings,
        report=lambda p: losses.extend([p.losses["loss"]] if p.losses else []),
        card={"terms": "mine"},
    )
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:3])
    assert {p.name for p in best.parent.iterdir()} == {
        "best.safetensors", "best.md", "run.pt", "history.json", "curves.png",
    }  # fmt: skip
    history = json.loads((best.parent / "history.json").read_text())
    assert len(history["loss"]) == 24
    assert "IoU toys square" in history
    assert "terms: mine" in (best.parent / "best.md").read_text()
    segmenter = deeplab.load(str(best), device="cpu")
    assert [r.name for r in segmenter.regions] == ["ground", "square"]


def test_unusable_data_says_what_is_wrong(tmp_path: Path) -> None:
    def train(folder: Path, **settings: object) -> None:
        changed = dataclasses.replace(FAST, **settings)  # type: ignore[arg-type]
        train_segmenter([DataFolder(folder)], tmp_path / "out", classes=["a", "b"], settings=changed)

    with pytest.raises(InputError, match="does not exist"):
        train(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no training data"):
        train(tmp_path / "empty")
    with pytest.raises(InputError, match="value 5, but there are only 2 classes"):
        train(toys(tmp_path / "five", value=5))
    mixed = toys(tmp_path / "mixed")
    write_png(mixed / "labels/3.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(InputError, match=r"3\.jpg is 9x9 but the image is 64x48"):
        train(mixed)
    with pytest.raises(InputError, match="3 class weights"):
        train(toys(tmp_path / "good"), class_weights=(1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="No data"):
        train_segmenter([], tmp_path / "out")
    with pytest.raises(UsageError, match="crop"):
        train(tmp_path / "good", crop=64)
    assert not (tmp_path / "out").exists()


def test_fine_tuning_keeps_what_the_checkpoint_knows(tmp_path: Path) -> None:
    street = training.DeepLab(9, width=16, atrous=8, detail=8)
    deeplab.save(tmp_path / "street.safetensors", street, STREET, {}, half=False)
    regions = regions_from_names(["other", "car", "sofa"])
    mine = start_from(tmp_path / "street.safetensors", regions)
    assert torch.equal(mine.logits.weight[1], street.logits.weight[7])
    assert torch.equal(mine.logits.weight[2], street.logits.weight[0])
    assert torch.equal(mine.stem.weight, street.stem.weight)
    same = start_from(tmp_path / "street.safetensors", STREET)
    x = torch.rand(1, 3, 65, 65)
    with torch.inference_mode():
        assert torch.equal(same(x), street(x))


def test_the_held_back_split_depends_on_names_alone() -> None:
    items = [labeled.Item(Path(f"{k}.jpg")) for k in range(800)]
    kept = [i for i in items if labeled.held_back(i.image, 8)]
    assert 70 < len(kept) < 130
    assert kept == [i for i in reversed(items) if labeled.held_back(i.image, 8)][::-1]
    assert not any(labeled.held_back(i.image, 0) for i in items)


def test_batches_carry_labels_where_the_image_shows_them(tmp_path: Path) -> None:
    items = labeled.find_items(toys(tmp_path), ["a", "b"])
    source = data.check_source("toys", items, 2)
    sampler = data.Sampler([source], 2, crop=129, batch=4, scale=(0.2, 0.25))
    batch = sampler.draw(0)
    assert batch.image.shape == (4, 3, 129, 129)
    assert batch.label.shape == (4, 65, 65)
    again = data.Sampler([source], 2, crop=129, batch=4, scale=(0.2, 0.25)).draw(0)
    assert torch.equal(batch.image, again.image)
    assert not torch.equal(batch.image, sampler.draw(1).image)
    bright = batch.image.mean(1)[:, ::2, ::2]
    for k in range(4):
        assert bright[k][batch.label[k] == 1].mean() > bright[k][batch.label[k] == 0].mean() + 0.5
        assert (batch.label[k] == labeled.IGNORE).any()


def test_254_rules_out_what_the_folder_labels(tmp_path: Path) -> None:
    folder = toys(tmp_path)
    write_png(folder / "labels/0.png", np.full((48, 64), 254, np.uint8))
    assert data.check_source("toys", labeled.find_items(folder, ["a", "b", "c"]), 3).partial == (0, 1)


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / "cars/train", tmp_path / "people/train"]
    first, second = with_names([DataFolder(p) for p in paths])
    assert (first.name, second.name) == ("train", "people-train")
    again, third = with_names([DataFolder(paths[0], name="x"), DataFolder(paths[0], name="x")])
    assert again.name != third.name


PARTS = ["other", "hood", "left_door", "right_door", "left"]


def test_left_and_right_change_places_in_a_mirrored_photo(tmp_path: Path) -> None:
    assert data.mirrored_classes(PARTS) == (0, 1, 3, 2, 4)
    for name in ("images", "parts"):
        (tmp_path / name).mkdir()
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32, 0] = 255  # blue where the left door is
    label = np.where(np.arange(64) < 32, 7, 9).astype(np.uint8)[None].repeat(64, 0)
    cv2.imwrite(str(tmp_path / "images/a.png"), image)
    write_png(tmp_path / "parts/a.png", label)
    items = labeled.find_items(tmp_path, PARTS, None, "parts", (0, 5, 7, 9))
    source = data.check_source("doors", items, len(PARTS))
    sampler = data.Sampler([source], len(PARTS), (), 65, 16, 0, (0.12, 0.12), data.mirrored_classes(PARTS))

    def doors() -> set[int]:
        """The most frequent class of the blue half in each photo of a batch."""
        batch = sampler.draw(0)
        blue = (batch.image[:, 2, ::2, ::2] > batch.image[:, 0, ::2, ::2] + 0.3) & (batch.label != labeled.IGNORE)
        return {int(label[where].mode().values) for label, where in zip(batch.label, blue, strict=True) if where.any()}

    assert doors() == {2, 3}, "photos are drawn both as they are and mirrored"
    sampler.mirrored = ()
    assert doors() == {2}


def test_values_of_a_label_map_become_classes_and_the_others_are_ignored(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.array([[0, 2, 5, 9]], np.uint8))
    assert labeled.read_label(tmp_path / "a.png", (0, 2, 9)).tolist() == [[0, 1, labeled.IGNORE, 2]]


def test_an_alias_may_mean_several_classes() -> None:
    regions = regions_from_names(PARTS, {"door": ["left_door", "right_door"], "car": ["*"]})
    assert [r.name for r in resolve("door", regions)] == ["left_door", "right_door"]
    assert [r.index for r in resolve("car", regions)] == [1, 2, 3, 4]
    with pytest.raises(UsageError, match=r"'doors'.*left_door|left_door.*'doors'|'doors', which is not a class"):
        regions_from_names(PARTS, {"door": ["doors"]})
