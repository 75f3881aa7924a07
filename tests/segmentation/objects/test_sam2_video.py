"""SAM 2 follows objects with a tiny random network of its architecture; and what happens without SAM 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segnst.config import Settings
from segnst.errors import SegnstWarning, UsageError, WeightsError
from segnst.segmentation.base import Prompt
from segnst.segmentation.from_settings import load_segmenter, segmenter_for
from segnst.segmentation.objects import sam2_video
from segnst.segmentation.objects.tracker import Mark, follow_back
from segnst.segmentation.objects.tracking import TrackingSegmenter
from segnst.video.read import open_reader
from tests.segmentation.scenes import moving_disk, write_frames

SIDE = 64  # px of its square input
WIDE = 128  # channels; the memories have 64 channels, as in the real network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with config.json and model.safetensors, in the published form."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 1, 1], embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 1, 1], window_size_per_stage=[4, 2, 2, 2], global_attention_blocks=[],
    )  # fmt: skip
    config = transformers.Sam2VideoConfig(
        vision_config=transformers.Sam2VisionConfig(
            backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=WIDE,
            backbone_feature_sizes=[[SIDE // 4] * 2, [SIDE // 8] * 2, [SIDE // 16] * 2],
        ),
        prompt_encoder_config={"hidden_size": WIDE, "image_size": SIDE},
        mask_decoder_config={"hidden_size": WIDE, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
        image_size=SIDE, memory_attention_hidden_size=WIDE, memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32, memory_attention_rope_feat_sizes=[SIDE // 16] * 2,
        memory_encoder_hidden_size=WIDE, memory_encoder_output_channels=64, mask_downsampler_embed_dim=WIDE,
        memory_fuser_embed_dim=WIDE, memory_fuser_intermediate_dim=32, num_maskmem=3, max_object_pointers_in_encoder=3,
    )  # fmt: skip
    where = tmp_path_factory.mktemp("sam2")
    network = transformers.Sam2VideoModel(config)
    with torch.no_grad():
        # A real network learns whether an object is visible. This one shall always say that it is.
        head = network.mask_decoder.pred_obj_score_head
        last = [m for m in head.modules() if isinstance(m, torch.nn.Linear)][-1]
        last.bias.fill_(4.0)
    network.save_pretrained(where, safe_serialization=True)
    return where


@pytest.fixture(scope="module")
def empty(folder: Path) -> sam2_video.Sam2Segmenter:
    found = sam2_video.load(f"sam2:{folder}", device=torch.device("cpu"))
    assert found is not None
    return found


def as_mask(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask.astype(np.float32))[None, None]


def test_boxes_clicks_and_masks_are_followed(empty: sam2_video.Sam2Segmenter) -> None:
    frames, masks = moving_disk(3)
    marks = [
        Mark("cup", 0, (Prompt(box=(18, 20, 54, 56)), Prompt(points=((120, 20, True),)))),
        Mark("disk", 1, mask=as_mask(masks[1])),
    ]
    segmenter = empty.with_marks(marks)
    assert [r.name for r in segmenter.regions] == ["background", "cup", "disk"]
    found, carry = segmenter(torch.cat(frames))
    assert found.shape == (3, 3, 96, 160) and torch.allclose(found.sum(1), torch.ones(()), atol=1e-4)
    assert (found[0, 2] == 0).all() and carry.confidence[0][1] == 0
    assert found[1, 2][torch.from_numpy(masks[1])].min() >= 0.5 and carry.confidence[1][1] == 1
    assert 0.5 < carry.confidence[2][1] < 1 and found[2, 2].max() > 0
    assert "'disk' is doubtful on 1 of 3 frames" in segmenter.notes(carry)[0]


def test_in_pieces_as_in_one(empty: sam2_video.Sam2Segmenter) -> None:
    frames, masks = moving_disk(4)
    segmenter = empty.with_marks([Mark("disk", 0, mask=as_mask(masks[0]))])
    whole, _ = segmenter(torch.cat(frames))
    first, carry = segmenter(torch.cat(frames[:2]))
    second, _ = segmenter(torch.cat(frames[2:]), segmenter.after_cut(carry))
    assert torch.allclose(whole, torch.cat((first, second)), atol=1e-5)


def test_it_keeps_no_more_than_it_looks_at(empty: sam2_video.Sam2Segmenter) -> None:
    frames, masks = moving_disk(8)
    segmenter = empty.with_marks([Mark("disk", 0, mask=as_mask(masks[0]))])
    carry: Any = None
    sizes = []
    for frame in frames:
        _, carry = segmenter(frame, carry)
        memories = carry.session.output_dict_per_obj[0]
        sizes.append(len(memories["cond_frame_outputs"]) + len(memories["non_cond_frame_outputs"]))
        assert not carry.session.processed_frames
    assert sizes[-1] == sizes[-2] <= 4


def test_prompts_are_scaled_into_the_square() -> None:
    places, labels = sam2_video._clicks(Prompt(box=(16, 0, 80, 48), points=((80, 48, False),)), (96, 160), SIDE)
    assert places == [[pytest.approx(6.4), 0], [pytest.approx(38.4), 32], [32, 32]]
    assert labels == [2, 3, 0]


def test_selected_late_it_is_followed_back(empty: sam2_video.Sam2Segmenter) -> None:
    frames, masks = moving_disk(3)
    segmenter = empty.with_marks([Mark("disk", 2, mask=as_mask(masks[2]))])
    before = follow_back(segmenter, [(f * 255).round().to(torch.uint8) for f in frames])
    assert sorted(before) == [0, 1] and before[1]["disk"].confidence > 0.5


def test_by_name_it_follows_what_is_pointed_at(folder: Path, tmp_path: Path) -> None:
    frames, _ = moving_disk(2)
    settings = Settings(box=("disk:18,20,54,56",), segmenter=f"sam2:{folder}")
    with open_reader(write_frames(tmp_path / "frames", frames)) as reader:
        segmenter = segmenter_for(settings, torch.device("cpu"), reader)
        assert isinstance(segmenter, sam2_video.Sam2Segmenter)
        assert segmenter(frames[0])[0].shape == (1, 2, 96, 160)
    with pytest.raises(UsageError, match="add --box"):
        load_segmenter(f"sam2:{folder}", torch.device("cpu"))


def test_without_weights_grabcut_takes_over_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path / "nothing"))
    frames, _ = moving_disk(1)
    with open_reader(write_frames(tmp_path / "frames", frames)) as reader:
        settings = Settings(box=("disk:18,20,54,56",), segmenter="sam2")
        with pytest.warns(SegnstWarning, match="take the place of SAM 2"):
            assert isinstance(segmenter_for(settings, torch.device("cpu"), reader), TrackingSegmenter)
        named = Settings(box=("disk:18,20,54,56",), segmenter=f"sam2:{tmp_path}")
        with pytest.raises(WeightsError, match=r"config\.json and model\.safetensors"):
            segmenter_for(named, torch.device("cpu"), reader)


def test_weights_of_another_kind_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="SAM 2"):
        sam2_video.read(tmp_path)
