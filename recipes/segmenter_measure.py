"""Measure the bundled segmenter at two scales and at one, and its VOC teacher, on the same photos.

Prints the IoU table of models/deeplab_street.md, where "ours" is the bundled segmenter at two scales and "one look" at
one:

    python recipes/segmenter_measure.py [CHECKPOINT] [-o results/segmenter.json]

CamVid val and the DAVIS sequences were never trained on. Of the other folders it measures every eighth photo (by a hash
of its name), which the training held back. The label maps are kept in work/segmenter/measured, so that
`segnst evaluate masks PRED TRUTH` can print the table of each set.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segnst.bench.masks import evaluate_masks, object_iou
from segnst.jobs.segment import segment_to_folder
from segnst.masks.classes import STREET
from segnst.masks.labeled import find_items, held_back
from segnst.segmentation.base import Segmenter
from segnst.segmentation.networks import deeplab
from segnst.segmentation.wrappers import two_looks as closer
from segnst.train.segmenter_teachers import load_teacher, shared_classes

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
STREET_SEVEN = ("sky", "building", "road", "pavement", "vegetation", "person", "vehicle")
SETS = ("camvid/val", "car_parts/train", "car_side/train", "human/train", "clothing/train", "coco128/train")
DAVIS = {"car-roundabout": 7, "drift-straight": 7, "parkour": 6}


class Merged:
    """The teacher's likeliest VOC class under the names of the bundled one; "other" where that has no such class."""

    name, regions = "teacher", STREET

    def __init__(self, path: Path) -> None:
        self.teacher = load_teacher(path)
        shared = shared_classes(self.teacher.regions, STREET)
        self.members = [shared.get(r.name, []) for r in STREET]
        self.members[0] = [r.index for r in self.teacher.regions if not any(r.index in m for m in shared.values())]

    def __call__(self, rgb: Tensor, carry: Any = None) -> tuple[Tensor, Any]:
        p = self.teacher(rgb)[0]
        none = torch.zeros_like(p[:, 0])
        return torch.stack([p[:, m].amax(1) if m else none for m in self.members], 1), carry


def measure(segmenter: Segmenter, out: Path) -> dict[str, Any]:
    """Segment every set and compare it with its labels: {set: {class: IoU, …}}, J for the DAVIS sequences."""
    figures: dict[str, Any] = {}
    for name in SETS:
        folder, where = SHARED / "segmentation" / name, out / name.split("/")[0]
        items = find_items(folder, [r.name for r in STREET])
        items = [i for i in items if name.endswith("val") or held_back(i.image, 8)]
        photos, where = where / "photos", where / "labels"
        shutil.rmtree(photos.parent, ignore_errors=True)
        photos.mkdir(parents=True)
        for item in items:
            (photos / item.image.name).symlink_to(item.image)
        segment_to_folder(photos, where, segmenter)
        result = evaluate_masks(where, folder / "labels")
        found = {k: round(v["iou"], 3) for k, v in result["classes"].items() if v["iou"] is not None}
        figures[name.split("/")[0]] = {**found, "photos": result["images"]}
        if name.startswith("camvid"):
            figures["camvid"]["mean of seven"] = round(sum(found[k] for k in STREET_SEVEN) / 7, 3)
    for name, index in DAVIS.items():
        photos, where = out / name / "photos", out / name / "labels"
        shutil.rmtree(out / name, ignore_errors=True)
        photos.mkdir(parents=True)
        for image in (SHARED / "stability/davis" / name).glob("*.jpg"):
            (photos / image.name).symlink_to(image)
        segment_to_folder(photos, where, segmenter)
        truth = object_iou(where, SHARED / "stability/davis" / name, index)
        figures[f"DAVIS {name}"] = {STREET[index].name: round(truth["j_mean"], 3), "photos": truth["frames"]}
    return figures


def speed(segmenter: Segmenter, runs: int = 15) -> float:
    """Median seconds for a frame of 640x360, with as many threads as torch uses."""
    frame, times = torch.rand(1, 3, 360, 640), []
    for _ in range(runs):
        start = time.perf_counter()
        segmenter(frame)
        times.append(time.perf_counter() - start)
    return round(sorted(times)[runs // 2], 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, nargs="?", default=ROOT / "models" / deeplab.BUNDLED["deeplab"])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results/segmenter.json")
    arguments = parser.parse_args()
    ours = closer.load("deeplab", device="cpu", weights=arguments.checkpoint)
    once = deeplab.load_bundled("deeplab", device="cpu", weights=arguments.checkpoint)
    theirs = Merged(SHARED / "networks/deeplabv3_mobilenet_v2_voc.safetensors")
    scratch = ROOT / "work/segmenter/measured"
    all_three: dict[str, Segmenter] = {"ours": ours, "one look": once, "teacher": theirs}
    figures = {who: measure(segmenter, scratch / who) for who, segmenter in all_three.items()}
    seconds = {who: speed(segmenter) for who, segmenter in all_three.items()} | {"threads": torch.get_num_threads()}
    arguments.output.write_text(json.dumps({**figures, "seconds a frame at 640x360": seconds}, indent=2) + "\n")
    print("| set | class | ours | one look | teacher |\n|---|---|---|---|---|")
    for name, row in figures["ours"].items():
        for key, value in row.items():
            if key != "photos":
                other = figures["teacher"][name].get(key) if key in ("person", "vehicle") else None
                columns = (value, figures["one look"][name].get(key), other)
                shown = " | ".join("-" if v is None else f"{v:.3f}" for v in columns)
                print(f"| {name} ({row['photos']}) | {key} | {shown} |")
    print(f"\nseconds a frame at 640x360: {seconds}")


if __name__ == "__main__":
    main()
