"""Pack what a training on a remote GPU needs into one small folder: ``python recipes/pack_gpu.py SHARED .gpu``.

SHARED holds photos/, segmentation/, paintings/, paintings_more/ and networks/. Photos and paintings are reduced and
compressed (WebP), and as many are taken as fit into the size; the sixteen named paintings keep their names. Git ignores
the folder, so copy it along with the repository. ``recipes/gpu.sh`` then trains from it.
"""

from __future__ import annotations

import argparse
import random
import shutil
from pathlib import Path

import cv2

NETWORKS = ("vgg19_to_relu3_4.safetensors", "vgg19_distilled_to_relu4_1.safetensors")
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def pack(source: Path, target: Path, short: int, quality: int, suffix: str = ".webp") -> int:
    """Write a picture with its shorter side at most ``short`` px; return the bytes written."""
    picture = cv2.imread(str(source))
    if picture is None:
        return 0
    scale = min(1.0, short / min(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    kind = cv2.IMWRITE_WEBP_QUALITY if suffix == ".webp" else cv2.IMWRITE_JPEG_QUALITY
    out = target / f"{source.stem}{suffix}"
    cv2.imwrite(str(out), small, [kind, quality])
    return out.stat().st_size


def fill(sources: list[Path], target: Path, short: int, quality: int, room: int) -> tuple[int, int]:
    """Pack pictures in random order until the room in bytes is used up; return how many, and their bytes."""
    target.mkdir(parents=True)
    random.Random(1).shuffle(sources)
    count = used = 0
    for source in sources:
        if used >= room:
            break
        used += pack(source, target, short, quality)
        count += 1
    return count, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--mb", type=float, default=15.0)
    given = parser.parse_args()
    if given.out.exists():
        shutil.rmtree(given.out)
    (given.out / "networks").mkdir(parents=True)
    for name in NETWORKS:
        shutil.copyfile(given.shared / "networks" / name, given.out / "networks" / name)
    room = int(given.mb * 1e6) - sum(p.stat().st_size for p in (given.out / "networks").iterdir())
    (given.out / "paintings").mkdir()
    for painting in sorted((given.shared / "paintings").iterdir()):
        room -= pack(painting, given.out / "paintings", 448, 85, ".jpg")
    photos = [
        p
        for folder in ("photos", "segmentation")
        for p in (given.shared / folder).rglob("*")
        if p.suffix.lower() in PICTURES and not {"labels", "parts"} & set(p.parts)
    ]
    free = [p for p in (given.shared / "paintings_more").iterdir() if p.suffix.lower() in PICTURES]
    # paintings by known painters; the rest are dark and look alike
    bold = [p for p in free if not p.name.startswith("louvre_")]
    print("photos", fill(photos, given.out / "photos", 288, 70, int(0.6 * room)))
    print("named masters", fill(bold, given.out / "free", 288, 72, int(0.25 * room)))
    print("others", fill([p for p in free if p not in bold], given.out / "free_more", 256, 68, int(0.15 * room)))
    total = sum(p.stat().st_size for p in given.out.rglob("*") if p.is_file())
    print(f"{total / 1e6:.1f} MB in {given.out}")


if __name__ == "__main__":
    main()
