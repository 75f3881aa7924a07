"""Compare pictures optimized with the small encoder to those optimized with VGG19, measured on VGG19.

    python recipes/features_measure.py VGG19.safetensors photo.jpg painting.jpg … -o features.json

Each photo is painted twice, starting from the photo, with the same layers, weights and steps: once with VGG19 and once
with the small encoder. Both pictures are then measured on VGG19. A ratio of 1.25 means that the loss with the small
encoder is 25 % higher.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from segnst.perceptual.encoders import Encoder, load_encoder
from segnst.perceptual.loss_weights import LossWeights
from segnst.perceptual.objective import Objective, StyleRegion
from segnst.style.optimization import optimize, resized
from segnst.style.optimization_settings import OptimizeSettings
from segnst.video.pictures import read_picture, write_picture
from segnst.weights import sha256

WEIGHTS = LossWeights(
    content_layers=(("relu3_4", 1.0),),
    style_layers=(("relu1_1", 1.0), ("relu2_1", 1.0), ("relu3_1", 1.0), ("relu3_4", 1.0)),
)


def paint(encoder: Encoder, content: torch.Tensor, painting: torch.Tensor, steps: int) -> torch.Tensor:
    def build(size: tuple[int, int]) -> Objective:
        return Objective(encoder, WEIGHTS, resized(content, size), [StyleRegion([(painting, 1.0)])])

    return optimize(build, content, OptimizeSettings(steps=steps, scales=1, losses=WEIGHTS)).picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("vgg", type=Path)
    parser.add_argument("pairs", nargs="+", help="photo and painting, in turn")
    parser.add_argument("--features", default="small")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="folder for the pictures")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    real, small = load_encoder(given.vgg), load_encoder(given.features)
    rows = []
    for photo, art in zip(given.pairs[::2], given.pairs[1::2], strict=True):
        content, painting = read_picture(photo, given.size), read_picture(art, given.size)
        judge = Objective(real, WEIGHTS, content, [StyleRegion([(painting, 1.0)])])
        row: dict[str, object] = {"photo": Path(photo).name, "painting": Path(art).name}
        for name, encoder in (("vgg19", real), ("small", small)):
            picture = paint(encoder, content, painting, given.steps)
            with torch.no_grad():
                total, terms = judge(picture)
            row[name] = {"total": float(total)} | {n: float(v) for n, v in terms.items()}
            if given.keep:
                write_picture(given.keep / f"{Path(photo).stem}_{Path(art).stem}_{name}.png", picture)
        print(json.dumps(row), flush=True)
        rows.append(row)
    names = list(rows[0]["vgg19"])
    mean = {e: {n: sum(r[e][n] for r in rows) / len(rows) for n in names} for e in ("vgg19", "small")}
    ratio = {n: mean["small"][n] / mean["vgg19"][n] for n in names if mean["vgg19"][n]}
    facts = {
        "command": "python recipes/features_measure.py",
        "size": given.size,
        "steps": given.steps,
        "vgg19_sha256": sha256(given.vgg),
        "ratio": ratio,
        "mean": mean,
        "pairs": rows,
    }
    given.output.write_text(json.dumps(facts, indent=1))
    print(json.dumps(ratio, indent=1))


if __name__ == "__main__":
    main()
