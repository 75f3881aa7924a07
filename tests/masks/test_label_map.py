"""Label maps from soft masks, and what pictures of one object mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segnst.masks.label_map import IGNORE, label_map, one_object, shows_one_object


def test_label_map_takes_the_likeliest_class_at_full_size() -> None:
    p = torch.zeros(2, 3, 2, 2)
    p[0, 1], p[1, :, :, 0], p[1, 2, :, 1] = 1, torch.tensor([1.0, 0, 0])[:, None], 1
    labels = label_map(p, (5, 7))
    assert labels.dtype == torch.uint8
    assert labels.shape == (2, 5, 7)
    assert (labels[0] == 1).all()
    assert (labels[1, :, :3] == 0).all()
    assert (labels[1, :, 4:] == 2).all()


def test_a_label_map_has_no_value_for_more_classes() -> None:
    with pytest.raises(ValueError, match="at most 254"):
        label_map(torch.zeros(1, 255, 2, 2), (2, 2))
    assert label_map(torch.zeros(0, 3, 2, 2), (5, 7)).shape == (0, 5, 7)


def test_a_mask_of_one_object_is_told_from_indices() -> None:
    mask = np.array([[0, 255], [255, 0]], np.uint8)
    assert shows_one_object(mask) and one_object(mask).tolist() == [[0, 1], [1, 0]]
    assert not shows_one_object(np.array([[0, 1, IGNORE]], np.uint8))
