from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.errors import UsageError
from segnst.masks.indexed_png import read_png
from segnst.segmentation.base import Prompt
from segnst.segmentation.from_settings import load_segmenter
from segnst.segmentation.objects.grabcut import GrabCut
from tests.segmentation.scenes import iou, moving_disk

PEOPLE = Path(__file__).parents[4] / "shared/segmentation/human/train"


def test_a_box_alone_cuts_out_what_stands_out() -> None:
    frames, masks = moving_disk(1)
    found = GrabCut()(frames[0], Prompt(box=(18, 20, 54, 56)))
    assert found.shape == (1, 1, 96, 160)
    assert found.min() >= 0 and found.max() <= 1
    assert iou((found[0, 0] > 0.5).numpy(), masks[0]) > 0.95


def test_a_point_a_stroke_and_a_point_beside_it() -> None:
    frames, masks = moving_disk(1)
    by_point = GrabCut()(frames[0], Prompt(points=((45, 48, True), (120, 20, False))))
    stroke = torch.zeros(1, 1, 96, 160, dtype=torch.bool)
    stroke[..., 45:50, 30:60] = True
    by_stroke = GrabCut()(frames[0], Prompt(foreground=stroke))
    for found in (by_point, by_stroke):
        assert iou((found[0, 0] > 0.5).numpy(), masks[0]) > 0.9


def test_what_was_marked_as_outside_stays_outside() -> None:
    frames, _ = moving_disk(1)
    no = torch.zeros(1, 1, 96, 160, dtype=torch.bool)
    no[..., 48:, :] = True
    found = GrabCut()(frames[0], Prompt(box=(18, 20, 54, 56), background=no))
    assert (found[..., 50:, :] < 0.5).all() and (found[..., 30:45, 40:50] > 0.5).all()


def test_the_same_picture_gives_the_same_mask() -> None:
    frames, _ = moving_disk(1)
    prompt = Prompt(box=(18, 20, 54, 56))
    assert torch.equal(GrabCut()(frames[0], prompt), GrabCut()(frames[0], prompt))


@pytest.mark.parametrize(
    "prompt",
    [Prompt(box=(500, 20, 54, 56)), Prompt(box=(10, 10, 2, 2)), Prompt(points=((500, 5, True),))],
)
def test_a_prompt_outside_of_the_frame_is_an_error(prompt: Prompt) -> None:
    frames, _ = moving_disk(1)
    with pytest.raises(UsageError):
        GrabCut()(frames[0], prompt)


@pytest.mark.skipif(not PEOPLE.is_dir(), reason="needs the shared photos")
def test_two_people_by_a_box_each() -> None:
    """Photos of two people should reach a mean IoU of 0.90; the segmenter was trained on some of these photos."""
    cut = GrabCut(load_segmenter("deeplab:513", torch.device("cpu")))
    scores = []
    for stem in ("163", "209", "248", "252"):
        label = read_png(PEOPLE / f"labels/{stem}.png")
        picture = cv2.cvtColor(cv2.imread(str(next((PEOPLE / "images").glob(f"{stem}.*")))), cv2.COLOR_BGR2RGB)
        rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        count, _, facts, _ = cv2.connectedComponentsWithStats((label == 6).astype(np.uint8))
        boxes = [tuple(float(v) for v in facts[k, :4]) for k in range(1, count) if facts[k, 4] > 0.03 * label.size]
        assert len(boxes) == 2
        found = torch.stack([cut(rgb, Prompt(box=box)) for box in boxes]).amax(0)[0, 0].numpy() > 0.5
        scores.append(iou(found & (label < 255), label == 6))
    assert np.mean(scores) >= 0.9
