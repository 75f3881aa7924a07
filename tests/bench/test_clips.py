from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from segnst.bench.clips import find_clip, gather, read_painting, rendered_clips, videos_dir
from segnst.errors import InputError
from tests.bench.make import rendered
from tests.clips import panning


def davis(folder: Path, frames: int = 4, height: int = 48) -> Path:
    folder.mkdir(parents=True)
    for k, rgb in enumerate(panning(frames, height)):
        picture = (rgb.permute(1, 2, 0).numpy()[..., ::-1] * 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{k:05d}.jpg"), picture)
        mask = np.zeros((height, 64), np.uint8)
        mask[:, : 10 + k] = 255
        cv2.imwrite(str(folder / f"{k:05d}_mask.png"), mask)
    return folder


def test_masks_of_a_davis_folder_are_not_frames(tmp_path: Path) -> None:
    clip = find_clip(davis(tmp_path / "car"))
    assert (clip.name, len(clip.files), len(clip.objects), clip.truth) == ("car", 4, 4, None)
    mask = clip.true_mask(2, ["vehicle"], (48, 64))
    assert mask is not None
    assert mask.sum() == 48 * 12
    small = clip.true_mask(2, ["person"], (24, 32))
    assert small is not None
    assert small.sum() == 24 * 6
    assert clip.true_mask(4, ["vehicle"], (48, 64)) is None


def test_masks_without_frames_and_frames_without_masks_are_named(tmp_path: Path) -> None:
    folder = davis(tmp_path / "car")
    (folder / "00001_mask.png").unlink()
    with pytest.raises(InputError, match=r"none for 00001\.jpg"):
        find_clip(folder)
    for file in folder.glob("*.jpg"):
        file.unlink()
    with pytest.raises(InputError, match=r"no frame for the mask 00000_mask\.png"):
        find_clip(folder)


def test_a_plain_folder_has_no_truth(tmp_path: Path) -> None:
    folder = davis(tmp_path / "car")
    for file in folder.glob("*_mask.png"):
        file.unlink()
    clip = find_clip(folder)
    assert clip.objects == ()
    assert clip.true_mask(0, ["vehicle"], (48, 64)) is None


def test_a_rendered_clip_brings_its_truth(tmp_path: Path) -> None:
    path = rendered(tmp_path)
    assert rendered_clips(tmp_path) == [path]
    clip = find_clip(path)
    assert clip.truth is not None
    mask = clip.true_mask(0, ["car"], (48, 64))
    assert mask is not None
    assert mask.mean() == 0.5


def test_bad_clips_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.mp4 does not exist"):
        gather([tmp_path / "missing.mp4"])
    with pytest.raises(InputError, match="Name a clip"):
        rendered_clips(tmp_path / "videos")
    path = rendered(tmp_path)
    with pytest.raises(InputError, match="Two clips are called 'pan'"):
        gather([path, path])


def test_the_repository_has_rendered_clips() -> None:
    assert (videos_dir() / "street.mp4") in rendered_clips()


def test_a_painting_is_read_and_reduced(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "p.png"), np.full((800, 600, 3), (0, 0, 255), np.uint8))
    painting = read_painting(tmp_path / "p.png")
    assert painting.shape == (1, 3, 512, 384)
    assert painting[0, :, 0, 0].tolist() == [1, 0, 0]
    with pytest.raises(InputError, match="no picture"):
        read_painting(tmp_path / "none.png")
