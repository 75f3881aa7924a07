from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from segnst.flow.dis import DisFlow
from segnst.segmentation.base import Prompt
from segnst.segmentation.from_settings import load_segmenter
from segnst.segmentation.networks.deeplab import DeepLabSegmenter
from segnst.segmentation.objects.grabcut import GrabCut
from segnst.segmentation.objects.tracker import Mark, follow_back
from segnst.segmentation.objects.tracking import TrackCarry, TrackingSegmenter
from tests.segmentation.scenes import iou, moving_disk


@pytest.fixture(scope="module")
def guide() -> DeepLabSegmenter:
    found = load_segmenter("deeplab:513", torch.device("cpu"))
    assert isinstance(found, DeepLabSegmenter)
    return found


def tracker(guide: DeepLabSegmenter, *marks: Mark) -> TrackingSegmenter:
    return TrackingSegmenter(marks, GrabCut(), guide, DisFlow())


def as_mask(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask.astype(np.float32))[None, None]


def run(segmenter: TrackingSegmenter, frames: list[Tensor]) -> tuple[list[np.ndarray], TrackCarry]:
    carry, found = None, []
    for frame in frames:
        probabilities, carry = segmenter(frame, carry)
        assert probabilities.shape[1] == len(segmenter.regions)
        assert torch.allclose(probabilities.sum(1), torch.ones(()), atol=1e-4)
        found.append((probabilities[0, 1] > 0.5).numpy())
    assert carry is not None
    return found, carry


def test_an_object_is_followed(guide: DeepLabSegmenter) -> None:
    frames, masks = moving_disk()
    segmenter = tracker(guide, Mark("disk", 0, (Prompt(box=(18, 20, 54, 56)),)))
    assert [r.name for r in segmenter.regions] == ["background", "disk"]
    found, carry = run(segmenter, frames)
    assert min(iou(a, b) for a, b in zip(found, masks, strict=True)) > 0.85
    assert all(c[0] > 0.5 for c in carry.confidence) and segmenter.notes(carry) == []


def test_a_given_mask_is_kept_as_it_is(guide: DeepLabSegmenter) -> None:
    frames, masks = moving_disk(1)
    found, _ = run(tracker(guide, Mark("disk", 0, mask=as_mask(masks[0]))), frames)
    assert (found[0] == masks[0]).all()


def test_in_pieces_as_in_one(guide: DeepLabSegmenter) -> None:
    frames, masks = moving_disk(4)
    segmenter = tracker(guide, Mark("disk", 0, mask=as_mask(masks[0])))
    whole, _ = segmenter(torch.cat(frames))
    first, carry = segmenter(torch.cat(frames[:2]))
    second, _ = segmenter(torch.cat(frames[2:]), carry)
    assert torch.equal(whole, torch.cat((first, second)))


def test_selected_late_it_is_followed_back(guide: DeepLabSegmenter) -> None:
    frames, masks = moving_disk(6)
    segmenter = tracker(guide, Mark("disk", 4, mask=as_mask(masks[4])))
    before = follow_back(segmenter, [(f * 255).round().to(torch.uint8) for f in frames[:5]])
    assert sorted(before) == [0, 1, 2, 3]
    segmenter.before.update(before)
    found, _ = run(segmenter, frames)
    assert min(iou(a, b) for a, b in zip(found, masks, strict=True)) > 0.8


def test_a_second_selection_corrects_it(guide: DeepLabSegmenter) -> None:
    frames, masks = moving_disk(5)
    wrong = np.zeros_like(masks[0])
    wrong[5:20, 120:150] = True
    segmenter = tracker(guide, Mark("disk", 0, mask=as_mask(wrong)), Mark("disk", 2, mask=as_mask(masks[2])))
    found, _ = run(segmenter, frames)
    assert iou(found[1], masks[1]) < 0.3
    assert (found[2] == masks[2]).all() and iou(found[4], masks[4]) > 0.85


def test_gone_it_is_doubted_and_found_again(guide: DeepLabSegmenter) -> None:
    frames, masks = moving_disk(8, step=2)
    empty = moving_disk(1)[0][0].clone()
    empty[:, :, :, :] = empty[:, :, :, 110:].repeat(1, 1, 1, 4)[..., :160]
    clip = [*frames[:3], empty, empty, *frames[5:]]
    segmenter = tracker(guide, Mark("disk", 0, mask=as_mask(masks[0])))
    found, carry = run(segmenter, clip)
    assert found[4].sum() < 0.2 * masks[4].sum()
    assert carry.confidence[4][0] < 0.5
    assert iou(found[7], masks[7]) > 0.8
    assert "doubtful" in segmenter.notes(carry)[0]


def test_over_a_cut_it_goes_on_counting_and_looks_for_the_object(guide: DeepLabSegmenter) -> None:
    frames, masks = moving_disk(3)
    segmenter = tracker(guide, Mark("disk", 0, mask=as_mask(masks[0])))
    _, carry = segmenter(frames[0])
    carry = segmenter.after_cut(carry)
    assert carry.frame == 1 and carry.previous is None
    mirrored, _ = segmenter(frames[0].flip(3), carry)
    assert iou((mirrored[0, 1] > 0.5).numpy(), masks[0][:, ::-1]) > 0.8
    assert replace(carry, frame=5).frame == 5
