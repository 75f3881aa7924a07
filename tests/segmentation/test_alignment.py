"""Masks belong to frames of the input, wherever a run begins."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from segnst.config import Settings
from segnst.jobs.segment import segment_to_folder
from segnst.masks.indexed_png import write_png
from segnst.masks.label_map import fits
from segnst.segmentation.alignment import Run, align, align_by_time, numbers
from segnst.segmentation.files import open_masks
from segnst.segmentation.from_settings import segmenter_for
from segnst.video.geometry import Orientation, plan_geometry
from segnst.video.read import open_reader
from tests.clips import panning, write_clip
from tests.hostile.make import png, rows

SECONDS = tuple(Fraction(n, 25) for n in range(25))


def test_numbers_in_names_are_those_of_the_input_s_frames() -> None:
    cut = Run(15, 3, SECONDS)
    every = list(range(25))
    assert align(every, cut, every) == [15, 16, 17]
    assert align(every, cut, None) == [15, 16, 17], "as many as there are frames"
    assert align(every[10:20], cut, every[10:20]) == [15, 16, 17]
    assert align([15, 17], cut, [15, 17]) == [15, None, 17]
    assert align(["a", "b", "c"], cut, [0, 1, 2]) == ["a", "b", "c"], "masks of the part alone"
    assert align(every, cut, [n + 1 for n in every]) == [15, 16, 17], "FFmpeg counts from 1"
    assert align(["a"], cut, [15]) == ["a"]
    assert align(every[:10], Run(0, 25, SECONDS), every[:10])[8:11] == [8, 9, None]
    assert len(align(list(range(30)), Run(0, 25, SECONDS), list(range(30)))) == 30, "so that what is left over is said"


def test_a_mask_video_goes_by_time() -> None:
    half = tuple(Fraction(n, 50) * 4 for n in range(13))  # every second frame
    assert align_by_time(list(range(13)), half, Run(15, 3, SECONDS)) == [7, 8, 8]
    assert align_by_time(list(range(5)), SECONDS[:5], Run(3, 4, SECONDS)) == [3, 4, None, None]


def test_numbers_at_the_end_of_names() -> None:
    assert numbers([Path("a_007.png"), Path("12.png")]) == [7, 12]
    assert numbers([Path("a.png")]) is None
    assert numbers([Path("a1.png"), Path("b1.png")]) is None
    assert numbers([Path("²3.png"), Path("x٣.png")]) is None


def test_masks_of_the_input_s_size_fit_at_every_max_size() -> None:
    for size in ((1920, 400), (333, 77), (640, 360), (101, 1001)):
        for most in (*range(16, 80), 320, 1000):
            frame = plan_geometry(size, Fraction(1), Orientation(), most, even=True).upright
            assert fits(size[::-1], frame[::-1]), (size, most, frame)
    assert not fits((64, 48), (48, 64))


def _shares(source: Path, **chosen: object) -> list[float]:
    settings = Settings(**chosen)  # type: ignore[arg-type]
    with open_reader(source, start=settings.start, end=settings.end) as reader:
        segmenter, carry, found = segmenter_for(settings, torch.device("cpu"), reader), None, []
        for clip in reader:
            probabilities, carry = segmenter(clip.rgb, carry)
            found.append(round(float(probabilities[0, 1].mean()) * 100))
    return found


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    write_clip(folder / "a.mp4", panning(25, 64, 96))
    (folder / "masks").mkdir()
    for n in range(25):  # frame n has 4n of 100 columns
        mask = np.zeros((64, 100), np.uint8)
        mask[:, : 4 * n] = 1
        write_png(folder / f"masks/{n}.png", cv2.resize(mask, (96, 64), interpolation=cv2.INTER_NEAREST))
    return folder


def test_masks_of_frames_behind_the_start(film: Path) -> None:
    with open_reader(film / "a.mp4", start=0.6, end=0.72) as reader:
        assert (Run.of(reader).first, Run.of(reader).count) == (15, 3)
    masks = str(film / "masks")
    assert _shares(film / "a.mp4", masks=masks, start=0.6, end=0.72) == pytest.approx([60, 64, 68], abs=1)
    chosen = {"masks": masks, "masks_override": masks, "start": 0.6, "end": 0.72}
    assert _shares(film / "a.mp4", **chosen) == pytest.approx([60, 64, 68], abs=1)


def test_a_mask_video_of_frames_behind_the_start(film: Path) -> None:
    with av.open(str(film / "m.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for n in range(25):
            gray = np.zeros((64, 96, 3), np.uint8)
            gray[:, : round(96 * n / 25)] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray, "rgb24")))
        container.mux(stream.encode())
    assert _shares(film / "a.mp4", masks=str(film / "m.mp4"), start=0.6, end=0.72) == pytest.approx([60, 64, 68], abs=2)


def test_pictures_that_say_in_their_own_way_where_the_object_is(film: Path, tmp_path: Path) -> None:
    frame = tmp_path / "frame.png"
    cv2.imwrite(str(frame), np.full((20, 30, 3), 90, np.uint8))
    inside = np.zeros((20, 30), bool)
    inside[5:15, 6:16] = True
    for value in (1, 7, 65535):  # labels of 16 bits
        (tmp_path / "m.png").write_bytes(png(30, 20, 16, 0, rows(np.where(inside, value, 0).astype(np.uint16))))
        assert _shares(frame, masks=str(tmp_path / "m.png")) == [17]
    cutout = np.dstack([np.full((20, 30, 3), 20, np.uint8), np.where(inside, 255, 0).astype(np.uint8)])
    cv2.imwrite(str(tmp_path / "m.png"), cutout)
    assert _shares(frame, masks=str(tmp_path / "m.png")) == [17]


def test_masks_that_select_nothing_say_so(tmp_path: Path) -> None:
    write_png(tmp_path / "m.png", np.zeros((20, 30), np.uint8))
    (tmp_path / "classes.json").write_text(
        json.dumps({"classes": [{"index": 0, "name": "a"}, {"index": 1, "name": "b"}]})
    )
    source = open_masks(tmp_path / "m.png")
    _, carry = source(torch.zeros(1, 3, 20, 30))
    assert any("select nothing" in note for note in source.notes(carry))


def test_masks_are_written_under_the_numbers_of_the_input_s_frames(film: Path, tmp_path: Path) -> None:
    source = open_masks(film / "masks/3.png")
    with open_reader(film / "a.mp4", start=0.6, end=0.72) as reader:
        segment_to_folder(film / "a.mp4", tmp_path / "out", source, reader=reader)
    names = sorted(p.name for p in (tmp_path / "out").glob("*.png"))
    assert names == ["000015.png", "000016.png", "000017.png"]
    found = _shares(film / "a.mp4", masks=str(tmp_path / "out"), start=0.6, end=0.72)
    assert found == pytest.approx([12, 12, 12], abs=1)


def test_a_mask_that_is_many_times_as_large_as_the_frame(tmp_path: Path) -> None:
    mask = np.zeros((2000, 3000), np.uint8)
    mask[500:1500, 600:1600] = 1
    write_png(tmp_path / "m.png", mask)
    probabilities, _ = open_masks(tmp_path / "m.png")(torch.zeros(1, 3, 20, 30))
    inside = np.zeros((20, 30), bool)
    inside[5:15, 6:16] = True
    assert ((probabilities[0, 1] > 0.5).numpy() == inside).all()
