from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segnst.bench.masks import evaluate_masks, object_iou, table
from segnst.errors import InputError
from segnst.masks.indexed_png import write_png


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("pred", "true"):
        (tmp_path / name).mkdir()
    return tmp_path / "pred", tmp_path / "true"


def test_pixels_are_summed_over_images_and_255_is_not_judged(folders: tuple[Path, Path]) -> None:
    pred, true = folders
    write_png(pred / "a.png", np.array([[1, 1, 0, 0]], np.uint8))
    write_png(true / "a.png", np.array([[1, 0, 0, 255]], np.uint8))
    write_png(pred / "b.png", np.array([[1, 1, 1]], np.uint8))
    write_png(true / "b.png", np.array([[1, 1, 1]], np.uint8))
    write_png(true / "c.png", np.array([[1]], np.uint8))
    result = evaluate_masks(pred, true, ["none", "cat", "dog"])
    assert result["images"] == 2
    assert result["missing"] == 1
    assert result["classes"]["cat"]["iou"] == pytest.approx(4 / 5)
    assert result["classes"]["none"]["iou"] == pytest.approx(1 / 2)
    assert result["classes"]["dog"]["iou"] is None
    assert result["mean_iou"] == pytest.approx(0.65)
    assert result["accuracy"] == pytest.approx(5 / 6)
    assert "| cat | 0.800 |" in table(result)
    assert "dog" not in table(result)


def test_254_counts_against_the_labeled_class_alone(folders: tuple[Path, Path]) -> None:
    pred, true = folders
    write_png(true / "a.png", np.array([[1, 1, 254, 254]], np.uint8))
    write_png(pred / "a.png", np.array([[1, 1, 1, 2]], np.uint8))
    result = evaluate_masks(pred, true, ["none", "cat", "dog"])
    assert result["classes"]["cat"]["iou"] == pytest.approx(2 / 3)
    assert result["classes"]["dog"]["iou"] is None


def test_masks_of_one_object(folders: tuple[Path, Path]) -> None:
    pred, true = folders
    write_png(pred / "00000.png", np.array([[7, 7, 0, 0]], np.uint8))
    write_png(true / "00000_mask.png", np.array([[255, 0, 0, 0]], np.uint8))
    assert object_iou(pred, true, 7) == {"frames": 1, "iou": 0.5, "j_mean": 0.5}


def test_unusable_folders_say_why(folders: tuple[Path, Path]) -> None:
    pred, true = folders
    with pytest.raises(InputError, match="nothing to compare"):
        evaluate_masks(pred, true)
    with pytest.raises(InputError, match="does not exist"):
        evaluate_masks(pred / "no", true)
    write_png(true / "a.png", np.zeros((2, 2), np.uint8))
    write_png(pred / "a.png", np.zeros((2, 3), np.uint8))
    with pytest.raises(InputError, match="3x2"):
        evaluate_masks(pred, true)
    write_png(pred / "a.png", np.full((2, 2), 9, np.uint8))
    with pytest.raises(InputError, match="value 9"):
        evaluate_masks(pred, true)
