"""Writes masks in the formats that other programs read: label maps, soft masks, COCO, overlays, and alpha cut-outs."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.masks.coco import encode_rle
from segnst.masks.indexed_png import palette, write_png
from segnst.matting import refine, separate
from segnst.pixels import quantized
from segnst.segmentation.base import objects
from segnst.types import Clip, Region
from segnst.untrusted import safe_names
from segnst.video.alpha import AlphaVideo
from segnst.video.images import encode
from segnst.video.read import Reader
from segnst.video.write import Writer, open_writer


@dataclass(frozen=True, slots=True)
class Segmented:
    """One frame and its masks.

    name    the stem of its files;  clip  the frame
    labels  uint8 [H,W];  probabilities  [1,K,h,w], corners aligned with the frame's
    colors uint8 [K,3] to draw the regions in, or None
    """

    name: str
    clip: Clip
    labels: np.ndarray
    probabilities: Tensor
    colors: np.ndarray | None = None


class Export(ABC):
    """Receives the frames one after another and writes them into a folder in one format.

    reader  of the input, or None for separate photos;  stack  closes what stays open until the end
    """

    @abstractmethod
    def __init__(self, folder: Path, regions: Sequence[Region], reader: Reader | None, stack: ExitStack) -> None: ...

    @abstractmethod
    def add(self, frame: Segmented) -> None:
        """Take one more frame."""

    @abstractmethod
    def finish(self) -> None:
        """Complete the files after the last frame."""


class Indexed(Export):
    """``NAME.png`` with the region's index as pixel value, and ``classes.json`` with the names."""

    def __init__(self, folder: Path, regions: Sequence[Region], reader: Reader | None, stack: ExitStack) -> None:
        self.folder, self.regions = folder, regions

    def add(self, frame: Segmented) -> None:
        write_png(self.folder / f"{frame.name}.png", frame.labels, frame.colors)

    def finish(self) -> None:
        classes = [{"index": r.index, "name": r.name, "aliases": list(r.aliases)} for r in self.regions]
        (self.folder / "classes.json").write_text(json.dumps({"classes": classes}, indent=1) + "\n", encoding="utf-8")


class Soft16(Export):
    """``soft16/REGION/NAME.png``: probability as 16-bit gray, 65535 is 1."""

    def __init__(self, folder: Path, regions: Sequence[Region], reader: Reader | None, stack: ExitStack) -> None:
        # a class is called what a checkpoint or an annotation file calls it: no part of it may lead out of the folder
        self.folders = [folder / "soft16" / name for name in safe_names(r.name for r in regions)]
        for each in self.folders:
            each.mkdir(parents=True)

    def add(self, frame: Segmented) -> None:
        for k, folder in enumerate(self.folders):
            soft = _whole(frame.probabilities[:, k : k + 1], frame.labels.shape)
            data = cv2.imencode(".png", quantized(soft, deep=True))[1]
            (folder / f"{frame.name}.png").write_bytes(data.tobytes())

    def finish(self) -> None:
        pass


class Coco(Export):
    """``coco.json``: one run-length encoded annotation per region and frame; "other" and "background" get none."""

    def __init__(self, folder: Path, regions: Sequence[Region], reader: Reader | None, stack: ExitStack) -> None:
        self.file = folder / "coco.json"
        self.regions = [r for r in regions if r.index or r.name not in ("other", "background")]
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, frame: Segmented) -> None:
        number = len(self.images) + 1
        height, width = frame.labels.shape
        self.images.append({"id": number, "file_name": f"{frame.name}.png", "height": height, "width": width})
        for region in self.regions:
            mask = frame.labels == region.index
            if not mask.any():
                continue
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": number,
                    "category_id": region.index,
                    "segmentation": {"size": [height, width], "counts": encode_rle(mask)},
                    "area": int(mask.sum()),
                    "bbox": box,
                    "iscrowd": 0,
                }
            )

    def finish(self) -> None:
        content = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": [{"id": r.index, "name": r.name} for r in self.regions],
        }
        self.file.write_text(json.dumps(content) + "\n", encoding="utf-8")


class Overlay(Export):
    """``overlay.mp4`` with the clip's sound, or ``overlay/NAME.png`` for photos: the picture with tinted regions."""

    def __init__(self, folder: Path, regions: Sequence[Region], reader: Reader | None, stack: ExitStack) -> None:
        self.things = {r.index for r in objects(regions)} or {r.index for r in regions}
        self.folder = folder / "overlay"
        self.writer: Writer | None = None
        if reader is not None and reader.info.kind != "image":
            self.writer = stack.enter_context(open_writer(folder / "overlay.mp4", reader))
        else:
            self.folder.mkdir()

    def add(self, frame: Segmented) -> None:
        picture = overlay(frame)
        if self.writer is not None:
            self.writer.write(Clip(picture, frame.clip.pts, frame.clip.time_base))
        else:
            (self.folder / f"{frame.name}.png").write_bytes(encode(picture[0].numpy(), ".png", deep=False))

    def finish(self) -> None:
        if self.writer is not None:
            self.writer.close()


class Alpha(Export):
    """The objects on a transparent ground: ``alpha.mov`` (ProRes 4444) for a clip, ``alpha/NAME.png`` for photos.

    Their borders are mattes, unless the masks have the frame's size already, and show the colors of the objects alone
    (``segnst.matting``), so that they can be laid over anything.
    """

    suffix = ".mov"

    def __init__(self, folder: Path, regions: Sequence[Region], reader: Reader | None, stack: ExitStack) -> None:
        self.things = [r.index for r in objects(regions)]
        self.folder = folder / "alpha"
        self.video: AlphaVideo | None = None
        if reader is not None and reader.info.kind != "image":
            size = (reader.height, reader.width)
            path = folder / f"alpha{self.suffix}"
            self.video = stack.enter_context(AlphaVideo(path, size, reader.info.fps, reader.info.time_base))
        else:
            self.folder.mkdir(exist_ok=True)

    def add(self, frame: Segmented) -> None:
        chosen = frame.probabilities[:, self.things].sum(1, keepdim=True).cpu().float()
        rgb = frame.clip.rgb.cpu().float()
        alpha = chosen if chosen.shape[-2:] == rgb.shape[-2:] else refine(chosen, rgb)
        shared = (alpha > 0) & (alpha < 1)
        color = torch.where(shared, separate(rgb, alpha), rgb) if shared.any() else rgb
        rgba = quantized(torch.cat((color, alpha), 1)[0].permute(1, 2, 0).clamp(0, 1).numpy())
        if self.video is not None:
            self.video.write(rgba, frame.clip.pts[0])
        else:
            data = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))[1]
            (self.folder / f"{frame.name}.png").write_bytes(data.tobytes())

    def finish(self) -> None:
        pass


class AlphaMkv(Alpha):
    """The same as :class:`Alpha`, but a clip becomes ``alpha.mkv`` (FFV1, lossless)."""

    suffix = ".mkv"


class AlphaWebm(Alpha):
    """The same as :class:`Alpha`, but a clip becomes ``alpha.webm`` (VP9)."""

    suffix = ".webm"


FORMATS: dict[str, type[Export]] = {
    "indexed": Indexed,
    "soft16": Soft16,
    "coco": Coco,
    "overlay": Overlay,
    "alpha": Alpha,
    "alpha-mkv": AlphaMkv,
    "alpha-webm": AlphaWebm,
}


def _whole(soft: Tensor, size: tuple[int, ...]) -> np.ndarray:
    """[1,1,h,w] -> float32 [H,W] in [0,1]."""
    full = F.interpolate(soft.cpu().float(), size, mode="bilinear", align_corners=True)
    return np.asarray(full[0, 0].clamp(0, 1).numpy())


def overlay(frame: Segmented) -> Tensor:
    """The frame with its regions tinted and outlined, [1,3,H,W] in [0,1]; region 0 is not tinted.

    The tints come from the default palette even if the segmenter has a palette of its own, because k-means clusters in
    their mean colors would be invisible on the picture.
    """
    colors = palette()
    rgb = frame.clip.rgb[0].cpu().permute(1, 2, 0).numpy()
    tint = colors[np.minimum(frame.labels, len(colors) - 1)].astype(np.float32) / 255
    shown = (frame.labels > 0)[..., None]
    picture = np.where(shown, 0.55 * rgb + 0.45 * tint, rgb)
    edge = cv2.morphologyEx(frame.labels, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    picture[edge] = 0.3 * picture[edge] + 0.7
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None].contiguous()
