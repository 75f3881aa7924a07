"""Measure what the temporal term of a training brings, on the networks that recipes/temporal.sh trained.

    python recipes/temporal_measure.py work/temporal --paintings DIR --features VGG19 [-o results/temporal.json]

Prints a table and writes results/temporal.json: E_warp of per-frame styling, read from the benchmark's tables next to
plain.safetensors and steady.safetensors, and the losses of both networks in all their styles, on pictures that neither
was trained on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch

from segnst.bench.collection import Judge, Picture, frames_of_clips, summed
from segnst.perceptual.encoders import load_encoder
from segnst.style.collection import load_collection
from segnst.train.collection import read_paintings
from segnst.train.photos import read_photo, resize_short

ROOT = Path(__file__).parents[1]
NETWORKS = ("plain", "steady")


def e_warp(table: Path) -> dict[str, float]:
    """E_warp of per-frame styling for each clip of a saved report."""
    clips = json.loads(table.read_text())["clips"]
    return {name: clip["methods"]["per-frame"]["e_warp"] for name, clip in clips.items()}


@torch.inference_mode()
def losses(checkpoint: Path, judge: Judge, pictures: list[Picture]) -> dict[str, dict[str, float]]:
    """Mean losses (content, structure, style, strokes) over the pictures, for each style."""
    collection = load_collection(checkpoint)
    found = {}
    for name in collection.names:
        code = collection.code({name: 1.0})[None]
        rows = [summed(judge(collection.net(p.rgb, code).clamp(0, 1), p.rgb, name)) for p in pictures]
        found[name] = {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}
        print(checkpoint.stem, name, " ".join(f"{key} {value:.3f}" for key, value in found[name].items()), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("--features", required=True)
    parser.add_argument("--count", type=int, default=4, help="pictures, from the rendered clips")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results/temporal.json")
    given = parser.parse_args()

    paintings = read_paintings(given.paintings, ROOT / "recipes/collection.toml")
    targets = {made.name: resize_short(read_photo(path), 384)[None] for path, made, _ in paintings}
    judge = Judge(load_encoder(given.features, offline=True), targets)
    pictures = frames_of_clips()[: given.count]
    plain, steady = (losses(given.folder / f"{name}.safetensors", judge, pictures) for name in NETWORKS)

    measured = sorted(p.stem.removeprefix("plain_") for p in given.folder.glob("plain_*.json"))
    motion = {s: {n: e_warp(given.folder / f"{n}_{s}.json") for n in NETWORKS} for s in measured}
    sums = {n: sum(sum(motion[s][n].values()) for s in measured) for n in NETWORKS}

    def over(styles: list[str]) -> dict[str, float]:
        keys = next(iter(plain.values()))
        return {key: round(statistics.fmean(steady[s][key] / plain[s][key] for s in styles), 3) for key in keys}

    report = {
        "e_warp": {s: {n: {clip: round(v, 6) for clip, v in motion[s][n].items()} for n in NETWORKS} for s in measured},
        "e_warp ratio": {
            s: round(sum(motion[s]["steady"].values()) / sum(motion[s]["plain"].values()), 3) for s in measured
        },
        "e_warp ratio, together": round(sums["steady"] / sums["plain"], 3),
        "losses ratio, the same styles": over(measured),
        "losses ratio, all styles": over(list(plain)),
        "losses ratio, by style": {s: over([s]) for s in plain},
        "pictures": len(pictures),
    }
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({key: value for key, value in report.items() if key != "e_warp"}, indent=1))


if __name__ == "__main__":
    main()
