"""Photos as content images for training."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from segnst.errors import InputError
from segnst.files import PICTURE_SUFFIXES


def read_photo(path: Path) -> Tensor:
    """RGB [3,H,W] float in [0,1]. Raises InputError when the file is not a picture."""
    try:
        bgr = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        raise InputError(f"{path} cannot be read as a picture ({error}).") from error
    if bgr is None:
        raise InputError(f"{path} is not a picture that can be read.")
    return torch.from_numpy(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).permute(2, 0, 1).float() / 255


def resize_short(rgb: Tensor, side: int) -> Tensor:
    """[3,H,W] scaled so that the shorter side measures ``side`` px."""
    height, width = rgb.shape[-2:]
    scale = side / min(height, width)
    size = (max(side, round(height * scale)), max(side, round(width * scale)))
    return F.interpolate(rgb[None], size, mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)


class Photos:
    """All photos below some folders, and random crops of them.

    Raises InputError when a folder is missing or there is no photo at all.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.paths: list[Path] = []
        for folder in folders:
            if not folder.is_dir():
                raise InputError(f"The photo folder {folder} does not exist.")
            # folders of label maps hold pictures too, but not photos
            self.paths += sorted(
                p
                for p in folder.rglob("*")
                if p.suffix.lower() in PICTURE_SUFFIXES and not {"labels", "parts"} & set(p.relative_to(folder).parts)
            )
        self._kept: dict[Path, Tensor] = {}
        if not self.paths:
            raise InputError(f"No photo ({', '.join(sorted(PICTURE_SUFFIXES))}) in {', '.join(map(str, folders))}.")

    def keep(self, device: torch.device, side: int, threads: int = 16) -> None:
        """Keep all photos on a device, as bytes with the shorter side ``side`` px: a GPU then never waits for files."""

        def read(path: Path) -> Tensor:
            return (resize_short(read_photo(path), side) * 255).round().to(torch.uint8)

        with ThreadPoolExecutor(threads) as pool:
            self._kept = {p: rgb.to(device) for p, rgb in zip(self.paths, pool.map(read, self.paths), strict=True)}

    def _photo(self, index: int) -> Tensor:
        path = self.paths[index]
        return self._kept[path].float() / 255 if path in self._kept else read_photo(path)

    def picture(self, width: int, least: int, generator: Generator) -> Tensor:
        """A random whole photo [3,H,W], ``width`` px wide, or larger where H or W would be less than ``least``."""
        rgb = self._photo(int(torch.randint(len(self.paths), (), generator=generator)))
        scale = max(width / rgb.shape[2], least / min(rgb.shape[1:]))
        size = (max(least, round(rgb.shape[1] * scale)), max(least, round(rgb.shape[2] * scale)))
        return F.interpolate(rgb[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)

    def crops(self, count: int, side: int, generator: Generator, plain: float = 0.06) -> Tensor:
        """Random crops [count,3,side,side], scaled, flipped and changed in brightness.

        With probability ``plain`` a crop is a smooth gradient with faint noise instead: smooth surfaces such as skies
        and car doors are rare in random crops, and transformer networks tend to show artifacts there.
        """
        return torch.stack([self._crop(side, generator, plain) for _ in range(count)])

    def _crop(self, side: int, generator: Generator, plain: float) -> Tensor:
        def uniform(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator))

        if uniform(0, 1) < plain:
            corners = torch.rand(1, 3, 1, 1, generator=generator) + 0.25 * torch.randn(1, 3, 2, 2, generator=generator)
            crop = F.interpolate(corners, (side, side), mode="bilinear", align_corners=True)[0]
            crop = (crop + 0.01 * torch.randn(3, side, side, generator=generator)).clamp(0, 1)
            return crop.to(next(iter(self._kept.values())).device) if self._kept else crop
        photo = self._photo(int(torch.randint(len(self.paths), (), generator=generator)))
        rgb = resize_short(photo, round(side * uniform(1.0, 1.7)))
        top = int(torch.randint(rgb.shape[1] - side + 1, (), generator=generator))
        left = int(torch.randint(rgb.shape[2] - side + 1, (), generator=generator))
        crop = rgb[:, top : top + side, left : left + side]
        if uniform(0, 1) < 0.5:
            crop = crop.flip(-1)
        return (crop.clamp_min(1e-4) ** uniform(0.8, 1.25) * uniform(0.8, 1.15)).clamp(0, 1)
