"""What the fuzzer feeds to the library: small files, each with the function that reads a user's file of its kind."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from segnst.config import Settings, read_plan_file
from segnst.jobs.style import style_video
from segnst.masks.coco import read_coco
from segnst.masks.indexed_png import write_png
from segnst.plan import parse_plan
from segnst.segmentation.files import open_masks, read_classes
from segnst.segmentation.networks.deeplab import DeepLabSegmenter, read, save
from segnst.segmentation.networks.deeplab_network import DeepLab
from segnst.segmentation.wrappers.override import read_overrides
from segnst.style.checkpoints import load_style
from segnst.types import Region
from tests.clips import panning, texture, write_clip
from tests.hostile.make import coco, collection, examples_state, interlaced, painter
from tests.material import save as save_picture
from tests.video.make import make as make_clip

SIZE = (20, 30)


@dataclass(frozen=True)
class Case:
    """A file to change, and what reads it: ``check`` may raise SegnstError and nothing else."""

    kind: str
    name: str
    data: bytes
    check: Callable[[Path], None]


def _style(path: Path) -> None:
    out = path.with_name(f"out{path.suffix if path.suffix in ('.mp4', '.mkv', '.png', '.jpg', '.webp') else '.mp4'}")
    style_video(path, out, "original", overwrite=True, end=2.0)


def _masks(path: Path) -> None:
    source, carry = open_masks(path), None
    for _ in range(2):
        _, carry = source(torch.zeros(1, 3, *SIZE), carry)


def _overrides(path: Path) -> None:
    folder = path.with_name("overrides")
    folder.mkdir(exist_ok=True)
    (folder / "000001.png").write_bytes(path.read_bytes())
    read_overrides(folder, SIZE)


def _coco(path: Path) -> None:
    write_png(path.with_name("a.png"), np.zeros(SIZE, np.uint8))
    for _, load in read_coco(path, ["other", "cat"]):
        load()
    _masks(path)


def _classes(path: Path) -> None:
    read_classes(path)


def _plan(path: Path) -> None:
    parse_plan(Settings(**read_plan_file(path)).styles)


@torch.inference_mode()
def _checkpoint(path: Path) -> None:
    load_style(f"{path}:ink" if path.stem in ("collection", "painter") else str(path)).net(torch.zeros(1, 3, 32, 32))


@torch.inference_mode()
def _segmenter(path: Path) -> None:
    network, regions, _ = read(path)
    DeepLabSegmenter("x", network, regions, 129)(torch.zeros(1, 3, 32, 48))


def cases(folder: Path) -> list[Case]:
    """Make the files, below ``folder``."""
    found: list[Case] = []

    def add(kind: str, path: Path, check: Callable[[Path], None]) -> None:
        found.append(Case(kind, path.name, path.read_bytes(), check))

    add("media", write_clip(folder / "a.mp4", panning(4, 32, 48)), _style)
    add("media", make_clip(folder / "b.mkv", frames=4, audio=("pcm_s16le",), subtitles=("srt",)), _style)
    add("media", make_clip(folder / "c.ts", frames=4, audio=("mp2",)), _style)
    for name in ("a.png", "a.jpg", "a.webp", "a.tif"):
        save_picture(folder / name, texture(32, 48))
        add("media", folder / name, _style)
    labels = (np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1])) // 9 % 2).astype(np.uint8)
    write_png(folder / "labels.png", labels)
    (folder / "laced.png").write_bytes(interlaced(labels))
    cv2.imwrite(str(folder / "soft.png"), labels.astype(np.uint16) * 40_000)
    for name in ("labels.png", "laced.png", "soft.png"):
        add("mask", folder / name, _masks)
    add("mask", folder / "labels.png", _overrides)
    outline = {"segmentation": [[4, 4, 14, 4, 14, 14, 4, 14]]}
    runs = {"segmentation": {"size": list(SIZE), "counts": [0, 100, 500]}, "iscrowd": 1}
    add("coco", coco(folder / "coco.json", None, outline, runs, {"bbox": [1, 2, 3, 4]}), _coco)
    (folder / "classes.json").write_text(json.dumps({"classes": [{"index": k, "name": f"c{k}"} for k in range(3)]}))
    add("coco", folder / "classes.json", _classes)
    plan = 'styles = ["car=starry_night*2+great_wave@0.5", "0:the_scream,2:udnie"]\nstart = 1.5\nmax_size = 320\n'
    (folder / "plan.toml").write_text(plan + "keep_colors = true\nstability = 0.5\ncrf = 20\n")
    add("plan", folder / "plan.toml", _plan)
    torch.save(examples_state(2), folder / "examples.pth")
    add("checkpoint", folder / "examples.pth", _checkpoint)
    add("checkpoint", collection(folder / "collection.safetensors"), _checkpoint)
    add("checkpoint", painter(folder / "painter.safetensors"), _checkpoint)
    torch.manual_seed(0)
    save(folder / "segmenter.safetensors", DeepLab(2, 4, 4, 4), (Region(0, "other"), Region(1, "cup")), {})
    add("checkpoint", folder / "segmenter.safetensors", _segmenter)
    warnings.simplefilter("ignore")
    return found
