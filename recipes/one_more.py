"""Compare two ways to learn one more style: as a row of the bundled collection, and as a network of its own.

    python recipes/one_more.py SHARED [--row 150] [--alone 400] [-o results/one_more.json]

The picture is a stained-glass window that this script draws, so that no training has seen it before. Losses are
measured on frames of the rendered clips. Seconds are processor time, because elapsed time depends on how busy the
machine is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from segnst.bench.collection import Judge, artifacts, frames_of_clips, summed
from segnst.perceptual.encoders import load_encoder
from segnst.style.checkpoints import load_style
from segnst.train.photos import read_photo, resize_short

ROOT = Path(__file__).parents[1]
NAME = "stained_glass"
GLASS = [(24, 52, 140), (40, 96, 190), (150, 22, 34), (206, 60, 40), (232, 176, 52), (40, 120, 70), (96, 36, 120)]
GLASS += [(236, 222, 180), (20, 110, 130)]


def draw_window(path: Path, side: int = 512, pieces: int = 260) -> None:
    """Draw pieces of colored glass, with grain, in rings round a rose, and lead between them."""
    rng = np.random.default_rng(7)
    middle = side / 2
    angle, radius = rng.random(pieces) * 2 * np.pi, np.sqrt(rng.random(pieces)) * 0.78 * side
    y, x = np.mgrid[:side, :side].astype(np.float32)
    distances = np.stack(
        [np.hypot(x - middle - r * np.cos(a), y - middle - r * np.sin(a)) for a, r in zip(angle, radius, strict=True)]
    )
    nearest = distances.argmin(0)
    first, second = np.partition(distances, 1, 0)[:2]
    palette = np.array(GLASS, np.float32)
    ring = (radius / (0.137 * side)).astype(int)
    colors = palette[(ring * 2 + rng.integers(0, 3, pieces)) % len(palette)] + rng.normal(0, 10, (pieces, 3))
    light = 0.72 + 0.5 * cv2.GaussianBlur(rng.random((side, side)).astype(np.float32), (0, 0), 14)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), sigmaX=1.2, sigmaY=7)
    window = colors[nearest] * (light + 0.07 * grain / grain.std())[..., None]
    lead = np.clip((7 - (second - first)) / 3, 0, 1)[..., None]
    window = window * (1 - lead) + lead * np.array([30, 28, 32])
    cv2.imwrite(str(path), np.clip(window, 0, 255).astype(np.uint8)[..., ::-1])


def train(shared: Path, picture: Path, iterations: int, work: Path, *more: str) -> float:
    """Run `segnst train style`, unless an earlier run did, and return the seconds of processor time that it took."""
    done = work / "seconds"
    if done.is_file():
        return float(done.read_text())
    command = [sys.executable, "-m", "segnst", "train", "style", str(picture), "--name", NAME]
    command += ["--data", str(shared / "photos"), "--data", str(shared / "segmentation"), "--batch", "2"]
    command += ["--features", str(shared / "networks/vgg19_to_relu3_4.safetensors")]
    command += ["--deep-features", str(shared / "networks/vgg19_distilled_to_relu4_1.safetensors")]
    command += ["--iterations", str(iterations), "--seed", "1", "--work", str(work), "--overwrite", *more]
    before = os.times()
    subprocess.run(command, check=True)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    done.write_text(f"{seconds}\n")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--row", type=int, default=150, help="iterations")
    parser.add_argument("--alone", type=int, default=400, help="iterations")
    parser.add_argument("--crop", default="176")
    parser.add_argument("--work", type=Path, default=ROOT / "work/one_more")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results/one_more.json")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    picture = given.work / f"{NAME}.png"
    draw_window(picture)
    into = given.work / "collection.safetensors"
    for suffix in (".safetensors", ".md") if not into.exists() else ():
        shutil.copyfile((ROOT / "models/collection").with_suffix(suffix), into.with_suffix(suffix))

    crop = ("--crop", given.crop)
    seconds = {
        "row": train(given.shared, picture, given.row, given.work / "row", *crop, "--into", str(into)),
        "alone": train(given.shared, picture, given.alone, given.work / "alone", *crop, "--out", str(given.work)),
    }
    made = {"row": f"{into}:{NAME}", "alone": str(given.work / f"{NAME}.safetensors")}
    encoder = load_encoder(str(given.shared / "networks/vgg19_to_relu3_4.safetensors"), offline=True)
    judge = Judge(encoder, {NAME: resize_short(read_photo(picture), 384)[None]})
    pictures = frames_of_clips()[:4]
    report: dict[str, dict[str, float]] = {}
    for name, checkpoint in made.items():
        net = load_style(checkpoint).net

        def paint(rgb: Tensor, net: nn.Module = net) -> Tensor:
            return torch.clamp(net(rgb), 0, 1)

        with torch.inference_mode():
            rows = [summed(judge(paint(p.rgb), p.rgb, NAME)) for p in pictures]
            report[name] = {key: round(statistics.fmean(row[key] for row in rows), 4) for key in rows[0]}
            report[name] |= artifacts(paint, pictures) | {"processor seconds": round(seconds[name])}
    report["row over alone"] = {
        k: round(v / report["alone"][k], 3) for k, v in report["row"].items() if report["alone"][k]
    }
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
