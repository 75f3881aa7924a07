"""The clips that can be measured: rendered ones with their truth, any video, folders of frames, DAVIS-style folders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.bench.truth import Truth, truth_of
from segnst.errors import InputError
from segnst.masks.classes import STREET
from segnst.masks.indexed_png import read_png
from segnst.pixels import from_bytes
from segnst.segmentation.base import resolve
from segnst.video.images import MASK_SUFFIX, apart_from_masks, frame_files
from segnst.weights import sha256


@dataclass(frozen=True)
class BenchClip:
    """A clip and what is known of it.

    name     what tables call it: the file's or folder's name without suffix
    sha256   of the video, or of all frames of a folder in order
    truth    exact flow, occlusion and classes of a rendered clip, or None
    files    frames of a folder, without masks; empty for a video
    objects  masks of one object (0 = background) of a DAVIS-style folder, one for each frame
    """

    name: str
    path: Path
    sha256: str
    truth: Truth | None = None
    files: tuple[Path, ...] = ()
    objects: tuple[Path, ...] = ()

    def true_mask(self, frame: int, regions: Sequence[str], size: tuple[int, int]) -> Tensor | None:
        """Where ``regions`` truly are in a frame, float [1,1,H,W] of 0 and 1, or None where that is not known.

        size  (H, W) of the frames measured. Masks of a DAVIS-style folder are taken to be of the regions asked for.
        Raises PlanError for a region that no truth has, InputError for a damaged mask.
        """
        if self.truth is not None and frame < len(self.truth.masks):
            classes = [r.index for name in regions for r in resolve(name, STREET)]
            found = np.isin(self.truth.mask(frame), classes)
        elif frame < len(self.objects):
            found = read_png(self.objects[frame]) > 0
        else:
            return None
        mask = torch.from_numpy(found.astype(np.float32))[None, None]
        if mask.shape[-2:] != size:
            mask = (F.interpolate(mask, size, mode="area") > 0.5).float()
        return mask


def _folder(path: Path) -> BenchClip:
    frames, masks = apart_from_masks(frame_files(path))
    alone = [p.name for p in frames if p.name.endswith(MASK_SUFFIX)]
    if alone:
        raise InputError(f"The folder {path} has no frame for the mask {alone[0]}.")
    lost = [p.name for p in frames if p.stem not in masks]
    if masks and lost:
        raise InputError(f"The folder {path} has masks, but none for {lost[0]}: every frame needs one, or none has.")
    digest = hashlib.sha256()
    for each in frames:
        digest.update(each.read_bytes())
    objects = tuple(masks[p.stem] for p in frames) if masks else ()
    return BenchClip(path.resolve().name, path, digest.hexdigest(), None, tuple(frames), objects)


def find_clip(path: Path) -> BenchClip:
    """The clip at a path: a video, or a folder of frames, all with ``NAME_mask.png`` or none. Raises InputError."""
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InputError(f"The clip {path} does not exist.")
    return BenchClip(path.stem, path, sha256(path), truth_of(path))


def videos_dir() -> Path:
    """Folder of the rendered clips: ``videos/`` of a checkout; a wheel does not carry it."""
    return Path(__file__).parents[2] / "videos"


def rendered_clips(folder: Path | None = None) -> list[Path]:
    """Every video in ``videos/`` that has its truth beside it, by name. Raises InputError where there is none."""
    folder = videos_dir() if folder is None else folder
    found = [p for p in sorted(folder.glob("*.mp4")) if (p.with_suffix("") / "flow.npz").is_file()]
    if not found:
        raise InputError(
            f"There is no rendered clip with its truth in {folder} (only a checkout of the repository has them). "
            "Name a clip: segnst bench stability CLIP"
        )
    return found


def gather(paths: Sequence[Path]) -> list[BenchClip]:
    """The named clips, or all rendered ones where none is named. Raises InputError, also for two of the same name."""
    clips = [find_clip(path) for path in paths or rendered_clips()]
    names = [clip.name for clip in clips]
    for clip in clips:
        if names.count(clip.name) > 1:
            raise InputError(f"Two clips are called '{clip.name}'; measure them in separate runs.")
    return clips


def read_painting(path: Path, short_side: int = 384) -> Tensor:
    """A painting as RGB [1,3,H,W] in [0,1], its short side reduced to the size that ``segnst train style`` uses.

    Raises InputError.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if picture is None:
        raise InputError(f"The painting {path} does not exist or is no picture that can be read.")
    scale = short_side / min(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return from_bytes(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))[None]
