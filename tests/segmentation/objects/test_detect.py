from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import detection

from segnst import registry
from segnst.errors import OutputError, PlanError, SegnstWarning, UsageError, WeightsError
from segnst.jobs.segment_objects import objects_to_folder
from segnst.masks.indexed_png import read_png
from segnst.segmentation.base import Segmenter, resolve
from segnst.segmentation.from_settings import load_objects, load_segmenter
from segnst.segmentation.objects import detect_torchvision
from segnst.segmentation.objects.detect import DetectThenMask
from segnst.segmentation.objects.detect_components import ComponentDetector
from segnst.segmentation.objects.instances import InstanceSegmenter
from tests.segmentation.objects.test_sam import _Box
from tests.segmentation.squares import CLASSES, frame


class ColorSegmenter(Segmenter[None]):
    """Segments red as a person and green as a car, at half the size of the frame."""

    def __init__(self) -> None:
        super().__init__("colors", CLASSES)

    def frame(self, rgb: Tensor, carry: None) -> tuple[Tensor, None]:
        small = torch.nn.functional.avg_pool2d(rgb, 2)[:, :2]
        return torch.cat([1 - small.amax(1, keepdim=True), small], 1), carry


COLORS = ComponentDetector("colors", ColorSegmenter())


def test_connected_parts_of_a_class_become_boxes() -> None:
    scene = frame(("person", 10, 10, 8), ("person", 50, 20, 12), ("car", 70, 10, 20))
    boxes = sorted(d.box for d in COLORS(scene, frozenset({1})))
    assert np.allclose(boxes, [(10, 10, 8, 8), (50, 20, 12, 12)], atol=1)
    assert {d.index for d in COLORS(scene, frozenset({1, 2}))} == {1, 2}
    assert COLORS(frame(("person", 10, 10, 2)), frozenset({1})) == [], "a speck is no object"


def test_each_box_is_cut_out_and_called_as_it_was_asked_for() -> None:
    finder = DetectThenMask(COLORS, _Box(), ["vehicle", "Person"])
    assert [r.name for r in finder.classes] == ["other", "vehicle", "person"]
    found = finder(frame(("person", 10, 10, 8), ("car", 70, 10, 20)))
    assert sorted(found.classes) == [1, 2]
    assert found.masks.shape == (2, 48, 96)
    areas = {c: float(found.masks[k].sum()) for k, c in enumerate(found.classes)}
    assert areas[1] == pytest.approx(400, rel=0.15)
    assert finder(frame()).masks.shape == (0, 48, 96)
    with pytest.raises(PlanError, match="Did you mean 'person'"):
        DetectThenMask(COLORS, _Box(), ["persno"])


def test_a_plan_looks_only_for_what_it_names() -> None:
    segmenter = InstanceSegmenter(DetectThenMask(COLORS, _Box())).select(["people:1"])
    scene = frame(("person", 10, 10, 8), ("person", 50, 20, 12), ("car", 70, 10, 20))
    p, _ = segmenter(scene)
    assert [r.name for r in segmenter.regions] == ["other", "people:1", "object"]
    assert [float(p[0, k].sum()) for k in (1, 2)] == pytest.approx([144, 64], rel=0.3), "the other person, and no car"


def test_objects_of_photos_go_into_label_maps_and_a_list(tmp_path: Path) -> None:
    segmenter = InstanceSegmenter(DetectThenMask(COLORS, _Box(), ["person", "car"]))
    (tmp_path / "photos").mkdir()
    for name, scene in (
        ("a", frame(("person", 10, 10, 8), ("person", 50, 20, 12))),
        ("b", frame(("car", 70, 10, 20))),
        ("c", frame()),
    ):
        rgb = (scene[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"photos/{name}.png"), rgb[..., ::-1])
    report = objects_to_folder(tmp_path / "photos", tmp_path / "out", segmenter)
    assert (report.frames, report.warnings) == (3, [])
    listed = json.loads((tmp_path / "out/objects.json").read_text())
    assert [(o["value"], o["name"]) for o in listed["a"]] == [(1, "person"), (2, "person")]
    assert listed["c"] == []
    label = read_png(tmp_path / "out/a.png")
    largest = next(o for o in listed["a"] if o["value"] == 1)
    x, y, w, h = largest["box"]
    assert (x, y) == (50, 20), "number 1 is the largest"
    assert (label[y : y + h, x : x + w] == 1).all()
    assert set(np.unique(read_png(tmp_path / "out/b.png"))) == {0, 1}, "each photo counts for itself"
    with pytest.raises(OutputError, match="PNGs already"):
        objects_to_folder(tmp_path / "photos", tmp_path / "out", segmenter)
    (tmp_path / "empty").mkdir()
    cv2.imwrite(str(tmp_path / "empty/d.png"), np.zeros((48, 96, 3), np.uint8))
    nothing = objects_to_folder(tmp_path / "empty", tmp_path / "none", segmenter)
    assert "No person and no car was found" in nothing.warnings[0]


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGNST_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setitem(registry.SELECTORS, "grabcut", "tests.segmentation.objects.test_sam:load_box")


@pytest.mark.usefixtures("offline")
def test_it_is_a_segmenter_for_plans_too() -> None:
    with pytest.warns(SegnstWarning, match="objects of a class that touch count as one"):
        segmenter = load_segmenter("detect_grabcut", torch.device("cpu"), offline=True)
    assert [r.name for r in resolve("car", segmenter.regions)] == ["vehicle"]


@pytest.mark.usefixtures("offline")
def test_offline_the_bundled_segmenter_draws_the_boxes_and_says_so() -> None:
    cpu = torch.device("cpu")
    with pytest.warns(SegnstWarning, match="knows person, dog as person, animal"):
        objects = load_objects(["person", "dog"], selector="grabcut", detector=None, device=cpu, offline=True)
    assert objects.name == "deeplab+grabcut"
    with pytest.raises(WeightsError, match="fasterrcnn_resnet50_fpn_v2_coco-dd69338a"):
        load_objects(["bottle"], selector="grabcut", detector=None, device=cpu, offline=True)
    with pytest.raises(WeightsError, match="fasterrcnn_mobilenet"):
        name = "fasterrcnn_mobilenet_v3_large_320_fpn"
        load_objects(["person"], selector="grabcut", detector=name, device=cpu, offline=True)
    with pytest.raises(UsageError, match="no detector 'yolo'"):
        load_objects(["person"], selector="grabcut", detector="yolo", device=cpu)


def test_a_detector_in_the_official_files_form_loads_and_runs(tmp_path: Path) -> None:
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    torch.manual_seed(0)
    network = getattr(detection, name)(weights=None, weights_backbone=None, num_classes=91)
    # The official file comes from a network with frozen batch norms, which do not count batches.
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "net.pth")
    detector = detect_torchvision.FasterRcnn(name, detect_torchvision.read(tmp_path / "net.pth", name))
    assert isinstance(detector(torch.rand(1, 3, 60, 90), frozenset(range(1, 81))), list)
    with pytest.raises(WeightsError, match="does not hold the weights of fasterrcnn_resnet50_fpn_v2"):
        detect_torchvision.read(tmp_path / "net.pth", "fasterrcnn_resnet50_fpn_v2")
