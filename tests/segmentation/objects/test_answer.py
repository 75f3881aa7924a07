"""What a click selected is said before anything is painted."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.segmentation.base import Prompt
from segnst.segmentation.networks.kmeans import KMeansSegmenter
from segnst.segmentation.objects.answer import percent, questions
from segnst.segmentation.objects.tracker import Mark, Tracker, shared
from tests.clips import texture
from tests.conftest import Run
from tests.segmentation.scenes import moving_disk


class Drawn(Tracker[None]):
    """Answers each click with a square of a known share of the frame."""

    def __init__(self, marks: list[Mark], share: float) -> None:
        super().__init__("drawn", marks)
        self.share = share

    def with_marks(self, marks: list[Mark]) -> Drawn:  # type: ignore[override]
        return Drawn(marks, self.share)

    def certainty(self, carry: None) -> tuple[tuple[float, ...], ...]:
        return ()

    def frame(self, rgb: torch.Tensor, carry: None) -> tuple[torch.Tensor, None]:
        mask = torch.zeros(1, 1, *rgb.shape[2:])
        mask.flatten()[: round(self.share * mask.numel())] = 1
        return shared([mask]), None


CLICK = Mark("cup", 3, (Prompt(None, ((20.0, 10.0, True),)),))
BOX = Mark("cup", 3, (Prompt((2.0, 2.0, 20.0, 20.0)),))


@pytest.mark.parametrize(("share", "said"), [(0.0005, "almost nothing"), (0.97, "nearly all"), (0.3, None)])
def test_a_click_that_selects_almost_nothing_or_nearly_all_is_doubted(share: float, said: str | None) -> None:
    frames = {3: (texture(100, 120) * 255).byte()[None]}
    guide = KMeansSegmenter(3)
    found = questions(Drawn([CLICK], share), [CLICK], frames, guide, scale=0.5)
    if said is None:
        assert found == []
        return
    (text,) = found
    assert f"The click at 40,20 selects {said}" in text, "the coordinates are those that were typed"
    assert percent(share) in text
    assert "under the click" in text
    assert "of --segmenter kmeans:5" in text


def test_boxes_say_themselves_how_large_the_object_is() -> None:
    assert questions(Drawn([BOX], 0.0001), [BOX], {3: texture(40, 60)[None]}, KMeansSegmenter(3), 1.0) == []


def test_shares_keep_the_digits_that_matter() -> None:
    assert [percent(s) for s in (0.5, 0.0123, 0.0004, 0)] == ["50 %", "1.2 %", "0.04 %", "0 %"]


def test_a_preview_shows_the_mask_and_says_its_area(run: Run, tmp_path: Path) -> None:
    frames, masks = moving_disk(1)
    cv2.imwrite("photo.png", (frames[0][0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)[..., ::-1])
    asked = ("photo.png", "--box", "18,20,54,56", "-s", "object=starry_night", "--fast", "--preview", "1", "--json")
    code, out, err = run("style", *asked, "-o", "p.png")
    assert code == 0, err
    (facts,) = json.loads(out)["masks"]
    assert facts["frame"] == 0
    assert facts["area"]["object"] == pytest.approx(100 * masks[0].mean(), rel=0.15)
    assert 0 <= facts["confidence"]["object"] <= 1
    code, out, err = run("segment", "photo.png", "--box", "18,20,54,56", "-o", "out", "--json")
    assert code == 0, err
    assert json.loads(out)["area"]["object"] == [pytest.approx(100 * masks[0].mean(), rel=0.15)]
    code, _, err = run("segment", "photo.png", "--box", "18,20,54,56", "-o", "out2")
    assert "1 label maps: object " in err


def test_a_region_that_masks_do_not_have_is_explained(run: Run) -> None:
    cv2.imwrite("photo.png", (texture(40, 60).permute(1, 2, 0).numpy() * 255).astype(np.uint8))
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 10:30] = 255
    cv2.imwrite("mask.png", mask)
    code, _, err = run("style", "photo.png", "--masks", "mask.png", "-s", "car=starry_night", "-o", "x.png")
    assert code == 2
    assert "--mask-classes background,car" in err
    code, _, err = run(
        "style", "photo.png", "--masks", "mask.png", "--mask-classes", "background,car", "-s", "car=original",
        "-o", "x.png",
    )  # fmt: skip
    assert code == 0, err


def test_a_small_box_is_named_as_typed(run: Run) -> None:
    cv2.imwrite("photo.png", np.full((400, 600, 3), 90, np.uint8))
    asked = ("--max-size", "100", "--box", "cup:301,200,12,20", "-s", "cup=starry_night")
    code, _, err = run("style", "photo.png", *asked, "-o", "x.png")
    assert code == 2
    assert "'cup:301,200,12,20' holds less than 4x4 px" in err
