from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from segnst.errors import InputError
from segnst.masks.coco import decode_rle, read_coco


def write(folder: Path, annotations: list[dict[str, object]], categories: tuple[str, ...] = ("dog", "lamp")) -> Path:
    cv2.imwrite(str(folder / "a.png"), np.zeros((20, 30, 3), np.uint8))
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 30, "height": 20}],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(categories)],
        "annotations": [{"id": i, "image_id": 7, "category_id": 1, **a} for i, a in enumerate(annotations)],
    }
    (folder / "coco.json").write_text(json.dumps(content))
    return folder / "coco.json"


def label(path: Path, *names: str) -> np.ndarray:
    ((image, read),) = read_coco(path, names)
    assert image.name == "a.png"
    return read()


def test_polygons_boxes_and_run_lengths(tmp_path: Path) -> None:
    rle = np.zeros((20, 30), bool)
    rle[2:4, 20:25] = True
    flat = rle.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
    counts = np.diff(np.concatenate([[0], edges, [600]])).tolist()
    path = write(
        tmp_path,
        [
            {"segmentation": [[2, 3, 12, 3, 12, 13, 2, 13]]},
            {"bbox": [15, 10, 4, 5]},
            {"segmentation": {"counts": counts, "size": [20, 30]}},
        ],
    )
    found = label(path, "other", "animal")  # a dog is an animal
    want = np.zeros((20, 30), np.uint8)
    want[3:13, 2:12] = want[10:15, 15:19] = 1
    want[rle] = 1
    assert (found != want).sum() <= 22  # cv2 paints a polygon's border too
    assert (found[rle] == 1).all()
    assert (found[10:15, 15:19] == 1).all()


def test_compressed_run_lengths() -> None:
    # by hand: runs 6, 1, 5 on 3x4; the third is stored plain, every later one minus the run two before
    assert decode_rle("615", (3, 4)).sum() == 1
    assert decode_rle("615", (3, 4))[0, 2]
    with pytest.raises(ValueError, match="cover"):
        decode_rle("615", (3, 5))


def test_small_objects_lie_on_top_unknown_ones_are_0_and_crowds_ignored(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        [{"bbox": [4, 4, 3, 3], "category_id": 2}, {"bbox": [0, 0, 12, 12]}, {"bbox": [20, 0, 5, 5], "iscrowd": 1}],
    )
    found = label(path, "other", "dog")
    assert (found[4:7, 4:7] == 0).all()
    assert found[0, 0] == 1
    assert (found[:5, 20:25] == 255).all()


def test_what_is_no_use_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"None of the categories .*dog, lamp"):
        label(write(tmp_path, []), "other", "cat")
    with pytest.raises(InputError, match="cannot be read"):
        label(write(tmp_path, [{"segmentation": {"counts": [5]}}]), "other", "dog")
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png"):
        label(tmp_path / "coco.json", "other", "dog")
    (tmp_path / "coco.json").write_text("[]")
    with pytest.raises(InputError, match="not a COCO"):
        label(tmp_path / "coco.json", "other", "dog")
