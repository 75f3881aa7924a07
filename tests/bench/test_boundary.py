from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segnst.bench.agreement import Agreement, matching
from segnst.bench.boundary import boundary_f
from segnst.bench.masks import evaluate_masks, table
from segnst.errors import UsageError
from segnst.masks.classes import STREET, VOC
from segnst.masks.indexed_png import write_png
from segnst.segmentation.base import Segmenter
from segnst.segmentation.networks.kmeans import KMeansSegmenter
from segnst.types import Region


def square(left: int = 20, side: int = 40) -> np.ndarray:
    mask = np.zeros((100, 120), bool)
    mask[20 : 20 + side, left : left + side] = True
    return mask


def test_the_outline_and_not_the_area_counts() -> None:
    assert boundary_f(square(), square()) == 1
    assert boundary_f(square(), square(21)) == 1  # within 2 px of a diagonal of 156
    assert 0.4 < boundary_f(square(), square(26)) < 0.8
    assert boundary_f(square(), np.zeros((100, 120), bool)) == 0
    assert boundary_f(np.zeros((100, 120), bool), np.zeros((100, 120), bool)) == 1


def test_masks_of_one_object_are_compared_as_such(tmp_path: Path) -> None:
    for name in ("pred", "truth"):
        (tmp_path / name).mkdir()
    write_png(tmp_path / "pred/00000.png", square(26).astype(np.uint8))
    write_png(tmp_path / "truth/00000_mask.png", square().astype(np.uint8) * 255)
    result = evaluate_masks(tmp_path / "pred", tmp_path / "truth")
    expected = (34 * 40) / (46 * 40)
    assert abs(result["classes"]["object"]["iou"] - expected) < 1e-6
    assert result["frames"]["00000"]["object"]["boundary_f"] == result["classes"]["object"]["boundary_f"]
    assert "boundary F" in table(result)


def test_classes_of_two_segmenters_are_matched_by_meaning() -> None:
    index = matching(STREET, VOC)
    names = {VOC[k].name: STREET[v].name for k, v in enumerate(index)}
    assert names["bus"] == "vehicle" and names["cat"] == "animal" and names["sofa"] == "other"


class Says(Segmenter[None]):
    """A segmenter that always finds one region in the left half and another one in the right half."""

    def __init__(self, names: tuple[str, ...], left: int, right: int) -> None:
        super().__init__("/".join(names), [Region(k, n) for k, n in enumerate(names)])
        self.answer = torch.zeros(1, len(names), 8, 12)
        self.answer[:, left, :, :6] = self.answer[:, right, :, 6:] = 1

    def frame(self, rgb: torch.Tensor, carry: None) -> tuple[torch.Tensor, None]:
        return self.answer, None


def test_what_only_one_of_two_segmenters_knows_is_no_disagreement() -> None:
    street = Says(("other", "road", "car"), 2, 1)
    both = Agreement(street, Says(("none", "wheel", "car"), 2, 0))
    both(torch.rand(1, 3, 8, 12))
    assert both.figures()["pixels"] == 1 and set(both.figures()["classes"]) == {"other", "car"}
    both = Agreement(street, Says(("none", "car"), 1, 1))
    both(torch.rand(1, 3, 8, 12))
    assert both.figures()["pixels"] == 0.5
    with pytest.raises(UsageError, match="no class in common"):
        Agreement(street, Says(("none", "cat"), 1, 0))


def test_agreement_of_a_segmenter_with_itself(tmp_path: Path) -> None:
    both = Agreement(KMeansSegmenter(3), KMeansSegmenter(3))
    rgb = torch.rand(2, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    found, _ = both(rgb)
    assert found.shape[1] == 3 and both.figures()["pixels"] == 1
    assert both.write_sheet(tmp_path / "check.png").is_file() and "1.000" in both.table()
