from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from segnst.errors import InputError, OutputError
from segnst.jobs.events import Context, Event, Frames
from segnst.jobs.segment import segment_to_folder
from segnst.masks.indexed_png import read_png
from segnst.segmentation.base import Segmenter
from segnst.types import Region


class ByBrightness(Segmenter[int]):
    """Segments frames into dark, middle and bright, with known results. The carry counts its frames."""

    def __init__(self) -> None:
        super().__init__("brightness", (Region(0, "dark"), Region(1, "middle"), Region(2, "bright")))
        self.carries: list[int | None] = []

    def frame(self, rgb: Tensor, carry: int | None) -> tuple[Tensor, int]:
        self.carries.append(carry)
        gray = rgb.mean(1)
        p = torch.stack([gray < 0.33, (gray >= 0.33) & (gray < 0.66), gray >= 0.66], 1).float()
        return p, (carry or 0) + rgb.shape[0]


def photo(path: Path, size: tuple[int, int], *values: int) -> np.ndarray:
    want = np.repeat(np.repeat(np.array([values], np.uint8), size[0], 0), size[1] // len(values), 1)
    cv2.imwrite(str(path), np.repeat((want * 120)[..., None], 3, 2))
    return want


def test_a_folder_of_photos_of_any_sizes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    wants = {
        "one": photo(tmp_path / "in/one.png", (20, 30), 0, 1, 2),
        "two": photo(tmp_path / "in/two.jpg", (48, 16), 2, 0),
    }
    photo(tmp_path / "in/two_mask.png", (48, 16), 0, 1)  # the mask of a photo, which is not segmented
    segmenter = ByBrightness()
    events: list[Event] = []
    report = segment_to_folder(tmp_path / "in", tmp_path / "deep/out", segmenter, context=Context(events.append))
    assert report.frames == 2
    assert [(e.done, e.expected) for e in events if isinstance(e, Frames)] == [(1, 2), (2, 2)]
    assert segmenter.carries == [None, None]  # photos are segmented independently
    assert sorted(p.name for p in (tmp_path / "deep/out").iterdir()) == ["classes.json", "one.png", "two.png"]
    for name, want in wants.items():
        assert (read_png(tmp_path / f"deep/out/{name}.png") == want).all()
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["out"]


def test_a_single_photo_keeps_its_stem(tmp_path: Path) -> None:
    want = photo(tmp_path / "car.png", (16, 32), 2, 1)
    segment_to_folder(tmp_path / "car.png", tmp_path / "out", ByBrightness())
    assert (read_png(tmp_path / "out/car.png") == want).all()


def test_a_video_gives_one_map_a_frame_and_carries_on(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "bgr0"
        for value in (0, 120, 240):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((16, 32, 3), value, np.uint8), "rgb24")))
        container.mux(stream.encode())
    segmenter = ByBrightness()
    report = segment_to_folder(tmp_path / "a.mkv", tmp_path / "out", segmenter)
    assert report.frames == 3
    assert segmenter.carries == [None, 1, 2]
    for number in range(3):
        assert (read_png(tmp_path / f"out/{number:06d}.png") == number).all()


def test_bad_requests_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for bad in ("empty", "gone.mp4"):
        with pytest.raises(InputError):
            segment_to_folder(tmp_path / bad, tmp_path / "out", ByBrightness())
    (tmp_path / "in").mkdir()
    photo(tmp_path / "in/a.png", (8, 8), 1)
    with pytest.raises(OutputError, match="come from"):
        segment_to_folder(tmp_path / "in", tmp_path / "in", ByBrightness(), overwrite=True)
    with pytest.raises(OutputError, match="is a file"):
        segment_to_folder(tmp_path / "in", tmp_path / "in/a.png", ByBrightness())
    (tmp_path / "in/b.jpg").write_text("no picture")
    with pytest.raises(InputError):
        segment_to_folder(tmp_path / "in", tmp_path / "out", ByBrightness())
    (tmp_path / "in/b.jpg").unlink()
    photo(tmp_path / "in/a.jpg", (8, 8), 1)
    with pytest.raises(InputError, match="same label map"):
        segment_to_folder(tmp_path / "in", tmp_path / "out", ByBrightness())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "in"]


def test_label_maps_are_overwritten_only_on_request(tmp_path: Path) -> None:
    photo(tmp_path / "a.png", (8, 8), 1)
    segment_to_folder(tmp_path / "a.png", tmp_path / "out", ByBrightness())
    with pytest.raises(OutputError, match="--overwrite"):
        segment_to_folder(tmp_path / "a.png", tmp_path / "out", ByBrightness())
    photo(tmp_path / "a.png", (8, 8), 2)
    segment_to_folder(tmp_path / "a.png", tmp_path / "out", ByBrightness(), overwrite=True)
    assert (read_png(tmp_path / "out/a.png") == 2).all()
