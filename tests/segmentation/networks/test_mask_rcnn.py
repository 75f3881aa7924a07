from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from segnst import catalog
from segnst.assembly import build
from segnst.config import Settings
from segnst.errors import PlanError, WeightsError
from segnst.masks.coco_classes import coco_regions
from segnst.masks.label_map import label_map
from segnst.pipeline import State
from segnst.segmentation.base import resolve
from segnst.segmentation.from_settings import load_segmenter
from segnst.segmentation.networks import mask_rcnn
from segnst.types import Region
from tests.loopback import serve

CLASSES = (Region(0, "other"), Region(1, "square", ("box",)))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    mask_rcnn.save(path, mask_rcnn.build("maskrcnn_small", 2), CLASSES, "maskrcnn_small", {"terms": "mine"})
    return path


def test_a_trained_file_is_loaded_by_its_path_and_runs(small: Path) -> None:
    segmenter = load_segmenter(str(small), torch.device("cpu"))
    assert segmenter.regions == CLASSES
    p, carry = segmenter(torch.rand(2, 3, 90, 160))
    assert p.shape == (2, 2, 90, 160)
    assert torch.allclose(p.sum(1), torch.ones(2, 90, 160), atol=1e-4)
    assert carry is not None
    assert segmenter(torch.rand(1, 3, 720, 1280))[0].shape == (1, 2, 360, 640), "masks of at most 640"
    assert label_map(p, (90, 160)).shape == (2, 90, 160)


def test_a_plan_tells_the_segmenter_which_objects_it_means(small: Path) -> None:
    plan = ("square:1=starry_night", "square:left=original@0")
    parts = build(Settings(styles=plan, segmenter=str(small), device="cpu", stabilize=False))
    assert parts.segmenter is not None
    assert [r.name for r in parts.segmenter.regions] == ["other", "square:1", "square:left", "object"]
    assert [[r.name for r in layer] for layer in parts.pipeline.regions] == [["square:1"], ["square:left"]]
    styled, _ = parts.pipeline.frame(torch.rand(1, 3, 48, 64), State())
    assert styled.masks is not None and styled.masks.soft.shape == (1, 3, 48, 64)
    with pytest.raises(PlanError, match="from 1"):
        build(Settings(styles=("square:0=starry_night",), segmenter=str(small), device="cpu"))


def test_the_classes_of_coco_have_the_names_that_people_use() -> None:
    regions, numbers = coco_regions()
    assert len(regions) == 81
    assert regions[numbers[1]].name == "person"
    assert regions[numbers[90]].name == "toothbrush"
    assert resolve("traffic_light", regions) == resolve("traffic light", regions)
    assert [r.name for r in resolve("vehicle", regions)] == ["car", "motorcycle", "bus", "train", "truck"]


def test_weights_of_another_kind_are_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not hold the weights of maskrcnn_resnet50_fpn_v2"):
        mask_rcnn.read_official(small)
    other = tmp_path / "other.safetensors"
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, other, {"architecture": "maskrcnn_small"})
    with pytest.raises(WeightsError, match="do not say which classes"):
        mask_rcnn.read(other)
    save_file({"w": torch.ones(2)}, other, {"architecture": "maskrcnn_small", "classes": '[{"name":"a","aliases":[]}]'})
    with pytest.raises(WeightsError, match="does not hold the weights"):
        mask_rcnn.read(other)


def test_offline_without_the_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"maskrcnn_resnet50_fpn_v2_coco-73cbd019\.pth.*--offline"):
        load_segmenter("mask_rcnn", torch.device("cpu"), offline=True)


@pytest.mark.slow
def test_the_official_network_is_fetched_checked_and_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights in the form of the official file (180 MB, checksum in the file name), from a local server."""
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.manual_seed(0)
    file = tmp_path / "served/official.pth"
    file.parent.mkdir()
    torch.save(mask_rcnn.build(mask_rcnn.OFFICIAL, 91).state_dict(), file)
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()[:8]

    def entry(url: str, checksum: str) -> tuple[catalog.Weights, ...]:
        return (catalog.Weights(mask_rcnn.OFFICIAL, "segmenter", url, checksum, "none"),)

    with serve(file.parent) as server:
        monkeypatch.setattr(catalog, "REMOTE", entry(f"{server}/official.pth", "00000000"))
        with pytest.raises(WeightsError, match="checksum"):
            load_segmenter("mask_rcnn", torch.device("cpu"))
        monkeypatch.setattr(catalog, "REMOTE", entry(f"{server}/official.pth", checksum))
        segmenter = load_segmenter("mask_rcnn", torch.device("cpu"))
    finder = segmenter.finder  # type: ignore[attr-defined]
    finder.network.transform.min_size = (96,)  # at the usual 800, this takes half a minute without a GPU
    p, _ = segmenter(torch.rand(1, 3, 60, 80))
    assert p.shape == (1, 81, 60, 80)
    assert segmenter.path == tmp_path / "home/official.pth"  # type: ignore[attr-defined]
