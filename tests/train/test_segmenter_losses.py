from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.errors import WeightsError
from segnst.masks.classes import STREET, VOC, regions_from_names
from segnst.segmentation.networks import deeplab
from segnst.segmentation.networks.deeplab_network import DeepLab
from segnst.train.segmentation_data import Batch
from segnst.train.segmenter_losses import LossWeights, group_divergence, partial_loss, segmentation_loss
from segnst.train.segmenter_teachers import Teachers, shared_classes


def test_partial_loss_punishes_the_excluded_class_alone() -> None:
    p = torch.tensor([[0.2, 0.5, 0.3], [0.2, 0.0, 0.8], [0.0, 1.0, 0.0]])
    excluded = torch.tensor([[False, True, False]]).expand(3, -1)
    loss = partial_loss(p, excluded)
    assert loss[0] == pytest.approx(-np.log(0.5), rel=1e-5)
    assert loss[1] == 0
    assert torch.isfinite(loss).all()


def test_divergence_is_zero_when_the_rest_may_be_divided_at_will() -> None:
    p = torch.tensor([[0.5, 0.1, 0.1, 0.3], [0.0001, 0.4, 0.2, 0.3999]])
    groups = torch.tensor([[0.1, 0.3], [0.4, 0.3999]])
    assert group_divergence(p.log(), groups, (1, 3)).abs().max() < 1e-4
    assert group_divergence(p.log(), groups.flip(1), (1, 3)).min() >= 0
    assert group_divergence(p[:1].log(), torch.tensor([[0.9, 0.05]]), (1, 3)) > 1


def batch(label: int, pseudo: int = 255, word: float = 0.0, asked: bool = False) -> Batch:
    n = 9
    return Batch(
        torch.zeros(1, 3, 17, 17),
        torch.full((1, n, n), label),
        torch.tensor([[False, True, False]]),
        torch.full((1, 1, n, n), word),
        torch.tensor([asked]),
        torch.full((1, n, n), pseudo),
    )


def test_each_kind_of_label_has_its_part() -> None:
    weights = LossWeights((1.0, 2.0, 1.0))
    logits = torch.zeros(1, 3, 5, 5, requires_grad=True)
    loss, parts = segmentation_loss(logits, batch(1), weights, (2,))
    assert parts == {"labels": pytest.approx(2 * np.log(3), rel=1e-4)}
    _, parts = segmentation_loss(logits, batch(254), weights, (2,))
    assert parts == {"partial": pytest.approx(np.log(1.5), rel=1e-4)}
    _, parts = segmentation_loss(logits, batch(254, pseudo=0, word=0.9, asked=True), weights, (2,))
    assert set(parts) == {"partial", "teacher", "pseudo"}
    loss, parts = segmentation_loss(logits, batch(255, pseudo=0, word=0.9, asked=True), weights, (2,))
    assert parts == {}
    loss.backward()
    assert float(logits.grad.abs().sum()) == 0  # type: ignore[union-attr]


def test_a_label_that_rules_a_class_out_overrules_the_teacher() -> None:
    weights = LossWeights((1.0, 1.0, 1.0))
    logits = torch.zeros(1, 3, 5, 5)
    _, told = segmentation_loss(logits, batch(254, word=1.0, asked=True), weights, (1,))
    assert told["teacher"] == pytest.approx(0, abs=1e-3)


def test_voc_and_street_share_three_classes() -> None:
    assert shared_classes(VOC, STREET) == {
        "person": [15], "vehicle": [6, 7, 14, 19], "animal": [3, 8, 10, 12, 13, 17],
    }  # fmt: skip


def test_a_teachers_word_is_stored_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    deeplab.save(tmp_path / "t.safetensors", DeepLab(9, 16, 8, 8), STREET, {"long_side": "65"})
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    teachers = Teachers(tmp_path / "t.safetensors", regions_from_names(["ground", "car", "dog"]))
    assert teachers.shared == {"car": [7], "dog": [8]}
    assert teachers.write([tmp_path / "a.png"], tmp_path / "soft") == 1
    assert teachers.write([tmp_path / "a.png"], tmp_path / "soft") == 0
    with np.load(tmp_path / "soft/a.npz") as stored:
        assert stored["groups"].shape[0] == 2
        assert stored["names"].tolist() == ["car", "dog"]
    with pytest.raises(WeightsError, match="knows none"):
        Teachers(tmp_path / "t.safetensors", regions_from_names(["ground", "spoon"]))
