from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.errors import InputError
from segnst.masks.indexed_png import write_png
from segnst.segmentation.from_settings import load_segmenter
from segnst.segmentation.networks import mask_rcnn
from segnst.train import instance_data as data
from segnst.train.instances import average_precision, start_from, train_instances
from segnst.train.settings import InstanceSettings
from segnst.types import Region

FAST = InstanceSettings(iterations=3, batch=1, lr=0.01, validate_every=2, save_every=1, validate_at_most=3)
SMALL = "maskrcnn_small"


def scenes(count: int = 8) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two bright squares on dark ground: BGR [64,96,3] and their numbers [64,96]."""
    rng = np.random.default_rng(0)
    out = []
    for _ in range(count):
        image, label = rng.integers(0, 60, (64, 96, 3), dtype=np.uint8), np.zeros((64, 96), np.uint8)
        for number, left in ((1, 4), (2, 52)):
            x, y, side = left + rng.integers(0, 14), rng.integers(2, 30), rng.integers(20, 28)
            image[y : y + side, x : x + side] += 180
            label[y : y + side, x : x + side] = number
        out.append((image, label))
    return out


@pytest.fixture
def pedestrians(tmp_path: Path) -> Path:
    """The layout of Penn-Fudan."""
    for name in ("PNGImages", "PedMasks"):
        (tmp_path / "penn" / name).mkdir(parents=True)
    for k, (image, label) in enumerate(scenes()):
        cv2.imwrite(str(tmp_path / f"penn/PNGImages/{k}.png"), image)
        write_png(tmp_path / f"penn/PedMasks/{k}_mask.png", label)
    return tmp_path / "penn"


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    (tmp_path / "coco/images").mkdir(parents=True)
    images, annotations = [], []
    for k, (image, label) in enumerate(scenes(4)):
        cv2.imwrite(str(tmp_path / f"coco/images/{k}.png"), image)
        images.append({"id": k, "file_name": f"{k}.png", "height": 64, "width": 96})
        for number in (1, 2):
            ys, xs = np.nonzero(label == number)
            box = [int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1]
            annotations.append({"image_id": k, "category_id": 7 * number, "bbox": box})
        annotations.append({"image_id": k, "category_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1})
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 14, "name": "Dog"}, {"id": 7, "name": "person"}]  # type: ignore[list-item]
    (tmp_path / "coco/annotations.json").write_text(json.dumps(content))
    return tmp_path / "coco"


def test_both_kinds_of_data_give_the_same_objects(pedestrians: Path, coco: Path) -> None:
    assert data.default_classes(pedestrians) == ["other", "object"]
    assert data.default_classes(coco) == ["other", "person", "dog"]
    one, two = data.find_photos(pedestrians, ["other", "object"]), data.find_photos(coco, ["other", "person", "dog"])
    image, masks, labels = data.load(one[0], 2)
    image_two, masks_two, labels_two = data.load(two[0], 3)
    assert (labels, labels_two) == ([1, 1], [1, 2])
    assert (masks == masks_two).all() and (image == image_two).all()
    (sample, target), *rest = data.draw(one, 2, 3, (0, 0))
    assert sample.shape[1:] == target["masks"].shape[1:]
    assert len(rest) == 2 and target["boxes"].shape == (2, 4)
    for box, mask in zip(target["boxes"].int().tolist(), target["masks"], strict=True):
        assert mask[box[1] : box[3], box[0] : box[2]].float().mean() > 0.9, "the mask fills its box"
    assert torch.equal(data.draw(one, 2, 3, (0, 0))[2][0], rest[1][0]), "the same for the same key"


def test_a_strangers_objects_are_trained_and_used_by_path(pedestrians: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    best = train_instances([pedestrians], out, network=SMALL, settings=FAST, card={"terms": "mine"})
    assert {p.name for p in out.iterdir()} == {"best.safetensors", "best.md", "run.pt", "history.json", "curves.png"}
    assert "terms: mine" in (out / "best.md").read_text()
    segmenter = load_segmenter(str(best), torch.device("cpu"))
    assert [r.name for r in segmenter.select(["object:1"]).regions] == ["other", "object:1", "object"]  # type: ignore[attr-defined]
    assert segmenter(torch.rand(1, 3, 64, 96))[0].shape == (1, 2, 64, 96)


@pytest.mark.slow
def test_squares_are_learned_from_random_weights(pedestrians: Path, tmp_path: Path) -> None:
    settings = InstanceSettings(iterations=250, batch=2, lr=0.02, validate_every=250, hold_back=0)
    seen: dict[str, float] = {}
    train_instances(
        [pedestrians], tmp_path / "out", network=SMALL, settings=settings, report=lambda p: seen.update(p.scores)
    )
    assert seen["mask AP50"] > 0.5


def test_classes_known_by_name_keep_what_was_learned(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = mask_rcnn.build(SMALL, 3)
    path = tmp_path / "start.safetensors"
    known = (Region(0, "other"), Region(1, "person", ("people",)), Region(2, "dog"))
    mask_rcnn.save(path, theirs, known, SMALL, {})
    network, _ = start_from(path, SMALL, (Region(0, "other"), Region(1, "dog"), Region(2, "tree")))
    old, new = theirs.state_dict(), network.state_dict()
    for key, rows, mine in (
        ("roi_heads.box_predictor.cls_score.weight", slice(2, 3), slice(1, 2)),
        ("roi_heads.box_predictor.bbox_pred.weight", slice(8, 12), slice(4, 8)),
        ("roi_heads.mask_predictor.mask_fcn_logits.weight", slice(2, 3), slice(1, 2)),
    ):
        assert torch.allclose(new[key][mine], old[key][rows], atol=1e-3)
    assert torch.allclose(new["backbone.0.weight"], old["backbone.0.weight"], atol=1e-3)


def test_average_precision() -> None:
    assert average_precision([(0.9, True), (0.8, True)], 2) == 1
    assert average_precision([(0.9, False), (0.8, True)], 1) == 0.5
    assert average_precision([(0.9, True), (0.5, False)], 2) == 0.5
    assert average_precision([], 2) == 0


def test_unusable_data_says_what_is_wrong(pedestrians: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="PNGImages with PedMasks"):
        train_instances([tmp_path / "empty"], tmp_path / "out", network=SMALL)
    with pytest.raises(InputError, match="does not exist"):
        train_instances([tmp_path / "gone"], tmp_path / "out", network=SMALL)
    with pytest.raises(InputError, match="give two"):
        train_instances([pedestrians], tmp_path / "out", classes=["a", "b", "c"], network=SMALL)
    write_png(pedestrians / "PedMasks/0_mask.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="4x4 but the image is 96x64"):
        train_instances([pedestrians], tmp_path / "out", network=SMALL)
    assert not (tmp_path / "out").exists()
