"""Measure the segmenter of car parts on the photos that its training held back.

    python recipes/car_parts_measure.py [CHECKPOINT] [--long-side 385] [-o results/car_parts.json]

Prints a table and writes results/car_parts.json: the IoU of each part over all pixels of all photos, as the trainer
counts it, and the IoU of names that mean several parts (such as all doors), for which confusing left and right does not
count.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

import numpy as np
import torch

from segnst.masks.labeled import find_items, held_back, read_image
from segnst.segmentation.base import label_map, resolve
from segnst.segmentation.networks import deeplab

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes/car_parts.toml"
GROUPS = ("door", "light", "mirror", "glass", "bumper", "boot", "car")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    bundled = ROOT / "models" / deeplab.BUNDLED["car_parts"]
    parser.add_argument("checkpoint", type=Path, nargs="?", default=bundled)
    parser.add_argument("--long-side", type=int)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results/car_parts.json")
    arguments = parser.parse_args()
    plan = tomllib.loads(RECIPE.read_text())
    entry = plan["data"][0]
    segmenter = deeplab.load(str(arguments.checkpoint), device="cpu")
    segmenter.long_side = arguments.long_side or segmenter.long_side
    regions = segmenter.regions
    names = [r.name for r in regions]
    items = find_items(RECIPE.parent / entry["path"], names, None, entry["labels"], entry["values"])
    items = [i for i in items if held_back(i.image, plan["settings"]["hold_back"])]
    confusion = np.zeros((len(regions), len(regions)), np.int64)  # truth, prediction
    for item in items:
        assert item.label is not None
        image, truth = read_image(item.image), item.label()
        rgb = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        found = label_map(segmenter(rgb)[0], truth.shape)[0].numpy()
        judged = truth < len(regions)
        confusion += np.bincount(
            truth[judged].astype(int) * len(regions) + found[judged], minlength=len(regions) ** 2
        ).reshape(confusion.shape)

    def iou(indices: list[int]) -> float:
        both = confusion[np.ix_(indices, indices)].sum()
        return round(float(both / (confusion[indices].sum() + confusion[:, indices].sum() - both)), 3)

    figures = {
        "photos": len(items),
        "long side": segmenter.long_side,
        "parts": {r.name: iou([r.index]) for r in regions[1:]},
        "together": {g: iou([r.index for r in resolve(g, regions)]) for g in GROUPS},
        "other": iou([0]),
    }
    figures["mean of 18"] = round(float(np.mean(list(figures["parts"].values()))), 3)
    print("| part | IoU |\n|---|---|")
    for name, value in figures["parts"].items():
        print(f"| {name} | {value:.3f} |")
    print(f"| **mean of 18** | **{figures['mean of 18']:.3f}** |")
    for name, value in figures["together"].items():
        print(f"| {name} (together) | {value:.3f} |")
    print(f"\n{len(items)} photos held back, long side {segmenter.long_side}.")
    arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
