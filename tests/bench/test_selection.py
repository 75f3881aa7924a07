from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from tests.conftest import Run
from tests.segmentation.scenes import moving_disk

PERSON = 6


def labeled(folder: Path) -> Path:
    """One photo with two disks and one with one, labeled as people; the second has a strip that is not judged."""
    frames, masks = moving_disk(2)
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for name, picture, label in (
        ("two", np.concatenate([frames[0][0]] * 2, 2), np.hstack([masks[0]] * 2) * np.uint8(PERSON)),
        ("one", frames[1][0].numpy(), masks[1] * np.uint8(PERSON)),
    ):
        image = np.ascontiguousarray((picture * 255).transpose(1, 2, 0)[..., ::-1].round().astype(np.uint8))
        if name == "one":
            label[:, :4] = 255
        cv2.imwrite(str(folder / f"images/{name}.png"), image)
        cv2.imwrite(str(folder / f"labels/{name}.png"), label)
    return folder


def test_two_objects_a_box_on_each(bench: Run, tmp_path: Path) -> None:
    folder, out = labeled(tmp_path / "data"), tmp_path / "out.json"
    code, text, err = bench("selection", folder, "-q", "-o", out)
    assert code == 0, err
    report = json.loads(out.read_text())
    assert list(report["photos"]) == ["two"] and len(report["photos"]["two"]["objects"]) == 2
    assert report["all"]["photos"] == 1 and report["all"]["iou"] > 0.9
    assert "| all (1) |" in text


def test_any_number_of_objects_and_none(bench: Run, tmp_path: Path) -> None:
    folder = labeled(tmp_path / "data")
    _, text, _ = bench("selection", folder, "--objects", "0", "--every", "1", "--json", "-q")
    report = json.loads(text)
    assert sorted(report["photos"]) == ["one", "two"] and report["held_back"]["photos"] == 2
    for wrong in (["--objects", "3"], ["--region", "vehicle"], ["--held-back", "--every", "0"]):
        code, _, err = bench("selection", folder, *wrong)
        assert code == 1 and "No label map" in err
    code, _, err = bench("selection", folder, "--region", "persn")
    assert code == 2 and "Did you mean 'person'" in err
