from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from segnst.errors import UsageError
from segnst.masks.classes import regions_from_names
from segnst.masks.indexed_png import write_png
from segnst.segmentation.networks import deeplab
from segnst.segmentation.networks.deeplab_network import DeepLab
from segnst.train.segmenter_recipe import train_from_recipe


def test_a_recipe_trains_with_its_teacher(tmp_path: Path) -> None:
    regions = regions_from_names(["ground", "square"])
    network = DeepLab(2, 16, 8, 8)
    network.start_from_scratch()
    deeplab.save(tmp_path / "start.safetensors", network, regions, {"long_side": "65"})
    rng = np.random.default_rng(0)
    for folder, labeled in (("pairs", True), ("photos", False)):
        (tmp_path / folder / "images").mkdir(parents=True)
        (tmp_path / folder / "labels").mkdir()
        for k in range(3):
            cv2.imwrite(str(tmp_path / f"{folder}/images/{k}.jpg"), rng.integers(0, 255, (40, 48, 3), dtype=np.uint8))
            if labeled:
                write_png(tmp_path / f"{folder}/labels/{k}.png", rng.integers(0, 2, (40, 48), dtype=np.uint8))
    (tmp_path / "recipe.toml").write_text(
        """
        start = "start.safetensors"
        classes = ["ground", "square"]
        teacher = {network = "start.safetensors"}
        settings = {iterations = 1, batch = 2, crop = 65, frozen = 3, hold_back = 0, long_side = 65}
        data = [{path = "pairs", teach = false}, {path = "photos", weight = 2}, {path = "gone", optional = true}]
        card = {terms = "mine"}
        """.replace("\n        ", "\n")
    )
    best = train_from_recipe(tmp_path / "recipe.toml", tmp_path / "out")
    assert deeplab.load(str(best), device="cpu").regions == regions
    assert sorted(p.name for p in (tmp_path / "out/soft").iterdir()) == ["photos"]
    assert len(list((tmp_path / "out/soft/photos").iterdir())) == 3
    assert "| photos | 3 | 2 |" in (tmp_path / "out/best.md").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not toml", "cannot be read"),
        ("[settings]\niteration = 3", "iterations"),
        ("[[data]]\nweight = 1", "no path"),
        ('[[data]]\npath = "x"\nuse = "all"', "use must be"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        train_from_recipe(tmp_path / "recipe.toml", tmp_path / "out")
    with pytest.raises(UsageError):
        train_from_recipe(tmp_path / "gone.toml", tmp_path / "out")


def test_the_bundled_recipe_is_readable() -> None:
    from segnst.train import segmenter_recipe as recipes

    path = Path(__file__).parents[2] / "recipes/segmenter.toml"
    plan = recipes._read(path)
    assert recipes._settings(plan["settings"], path).batch == 8
    assert all(recipes._folder(entry, path.parent, path) for entry in plan["data"])


def test_the_recipe_of_the_parts_names_every_class_once() -> None:
    from segnst.segmentation.base import resolve
    from segnst.train import segmenter_recipe as recipes

    path = Path(__file__).parents[2] / "recipes/car_parts.toml"
    plan = recipes._read(path)
    folder, _ = recipes._folder(plan["data"][0], path.parent, path)
    assert (folder.labels, len(folder.values)) == ("parts", len(plan["classes"]))
    assert len(recipes._settings(plan["settings"], path).class_weights) == len(plan["classes"]) == 19
    regions = regions_from_names(plan["classes"], plan["aliases"])
    assert len(resolve("car", regions)) == 18
    assert len(resolve("door", regions)) == len(resolve("light", regions)) == 4
