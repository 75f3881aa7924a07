"""Stills and folders of frames."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from segnst.video import images
from segnst.video.exif import exif_tag, upright_exif
from segnst.video.geometry import exif_orientation
from segnst.video.probe import probe
from segnst.video.read import open_reader
from tests.video.conftest import copy
from tests.video.make import look, make, picture


def exif(orientation: int, order: str = "<") -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + struct.pack(order + "HHHIHHI", 1, 274, 3, 1, orientation, 0, 0)


def write(path: Path, rgb: np.ndarray, block: bytes = b"") -> Path:
    order = [2, 1, 0, 3][: rgb.shape[2]]
    pixels = np.ascontiguousarray(rgb[:, :, order])
    if block:
        kinds = [int(cv2.IMAGE_METADATA_EXIF)]
        _, data = cv2.imencodeWithMetadata(path.suffix, pixels, kinds, [np.frombuffer(block, np.uint8)])
    else:
        _, data = cv2.imencode(path.suffix, pixels)
    path.write_bytes(data.tobytes())
    return path


def read(path: Path) -> np.ndarray:
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return found if found.ndim == 2 else found[:, :, [2, 1, 0, 3][: found.shape[2]]]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".bmp"])
def test_lossless_stills_come_back_exactly(suffix: str, tmp_path: Path) -> None:
    source = write(tmp_path / f"in{suffix}", picture(33, 21, 0))
    reader, writer = copy(source, tmp_path / f"out{suffix}")
    assert np.array_equal(read(tmp_path / f"out{suffix}"), picture(33, 21, 0))
    assert (reader.info.kind, reader.frames_expected, writer.warnings) == ("image", 1, [])


def test_jpeg(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jpg", picture(33, 21, 0))
    copy(source, tmp_path / "out.jpg")
    assert np.abs(read(tmp_path / "out.jpg").astype(int) - read(source)).mean() < 2


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_alpha_survives(suffix: str, tmp_path: Path) -> None:
    rgba = np.dstack([picture(32, 20, 0), np.arange(640).reshape(20, 32).astype(np.uint8)])
    rgba[..., 3] |= 1  # webp may change the color of what is quite invisible
    source = write(tmp_path / f"in{suffix}", rgba)
    with open_reader(source) as reader:
        clip = next(iter(reader))
        assert clip.alpha is not None and clip.alpha.shape == (1, 1, 20, 32) and reader.info.has_alpha
    copy(source, tmp_path / f"out{suffix}")
    assert np.array_equal(images.load(tmp_path / f"out{suffix}").pixels, rgba)
    _, writer = copy(source, tmp_path / "out.jpg")
    assert "cannot store transparency" in writer.warnings[0] and read(tmp_path / "out.jpg").shape == (20, 32, 3)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_survive(suffix: str, tmp_path: Path) -> None:
    rgb = (picture(32, 20, 0).astype(np.uint16) * 257) ^ 5
    source = write(tmp_path / f"in{suffix}", rgb)
    copy(source, tmp_path / f"out{suffix}")
    assert np.array_equal(read(tmp_path / f"out{suffix}"), rgb)
    _, writer = copy(source, tmp_path / "out.webp")
    assert "8 bits" in writer.warnings[0]


def test_gray_and_palette(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "gray.png"), picture(32, 20, 0)[:, :, 0])
    copy(tmp_path / "gray.png", tmp_path / "out.png")
    assert np.array_equal(read(tmp_path / "out.png"), np.repeat(picture(32, 20, 0)[:, :, :1], 3, 2))


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation(value: int, order: str, tmp_path: Path) -> None:
    rgb = picture(32, 20, 0)
    source = write(tmp_path / "in.png", rgb, exif(value, order))
    upright = {
        1: rgb, 2: rgb[:, ::-1], 3: rgb[::-1, ::-1], 4: rgb[::-1], 5: rgb.transpose(1, 0, 2),
        6: np.rot90(rgb, -1), 7: np.rot90(rgb, 2).transpose(1, 0, 2), 8: np.rot90(rgb, 1),
    }[value]  # fmt: skip
    assert np.array_equal(images.load(source).pixels, upright)
    copy(source, tmp_path / "out.png")
    again = images.load(tmp_path / "out.png")  # turned once, not twice
    assert np.array_equal(again.pixels, upright)
    assert exif_tag(again.exif) == 1
    assert exif_orientation(value).transpose == (value >= 5)


def test_a_damaged_exif_is_no_orientation() -> None:
    for block in (b"", b"II", b"II*\0\xff\xff\xff\xff", exif(6)[:20], b"garbage" * 9):
        assert exif_tag(block) == 1
        assert upright_exif(block) == block


def test_max_size_of_a_still(tmp_path: Path) -> None:
    source = write(tmp_path / "in.png", picture(90, 61, 0))
    copy(source, tmp_path / "out.png", max_size=45)
    assert read(tmp_path / "out.png").shape == (30, 45, 3)


def test_still_to_video(tmp_path: Path) -> None:
    source = write(tmp_path / "in.png", picture(64, 48, 0))
    copy(source, tmp_path / "out.mp4")
    new = look(tmp_path / "out.mp4")
    assert (len(new.times), new.size, new.tags[:2]) == (1, (64, 48), (6, 1))
    assert np.abs(new.rgb[0].astype(int) - picture(64, 48, 0)).mean() < 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in (1, 2, 3, 9, 10, 11):
        write(frames / f"shot{number}.png", picture(32, 24, number))
    (frames / "notes.txt").write_text("not a frame")
    (frames / ".hidden.png").write_bytes(b"not a frame")
    return frames


def test_folder_in_natural_order(folder: Path, tmp_path: Path) -> None:
    reader, _ = copy(folder, tmp_path / "out/")
    assert reader.info.kind == "frames" and reader.frames_expected == 6 and reader.info.fps == 25
    assert [path.name for path in reader.info.files] == [f"shot{n}.png" for n in (1, 2, 3, 9, 10, 11)]
    for number in (1, 2, 3, 9, 10, 11):  # names are kept
        assert np.array_equal(read(tmp_path / "out" / f"shot{number}.png"), picture(32, 24, number))


@pytest.mark.parametrize(
    ("fps", "rate"), [(None, Fraction(25)), (12.5, Fraction(25, 2)), (29.97, Fraction(30000, 1001))]
)
def test_folder_to_video(fps, rate: Fraction, folder: Path, tmp_path: Path) -> None:
    copy(folder, tmp_path / "out.mp4", fps=fps)
    new = look(tmp_path / "out.mp4")
    assert new.times == [n / rate for n in range(6)]
    assert new.end == 6 / rate


def test_range_of_a_folder(folder: Path) -> None:
    with open_reader(folder, start=0.04, end=0.16) as reader:
        assert [clip.pts[0] for clip in reader] == [1, 2, 3]
        assert reader.frames_expected == 3


def test_masks_beside_frames_are_no_frames(folder: Path) -> None:
    write(folder / "shot9_mask.png", picture(32, 24, 0))
    write(folder / "face_mask.png", picture(32, 24, 5))  # beside no frame: a frame
    names = ["face_mask.png", *(f"shot{n}.png" for n in (1, 2, 3, 9, 10, 11))]
    assert [path.name for path in probe(folder).files] == names


def test_video_to_folder_and_back(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", frames=5, pixel_format="yuv420p10le")
    _, writer = copy(source, tmp_path / "frames")
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == [f"frame_{n:06d}.png" for n in range(1, 6)]
    assert read(tmp_path / "frames" / names[0]).dtype == np.uint16
    info = probe(tmp_path / "frames")
    assert (info.frames, info.bit_depth, info.width, writer.frames_written) == (5, 16, 64, 5)


def test_a_file_named_like_another_kind(tmp_path: Path) -> None:
    """What a file is, its first bytes say."""
    write(tmp_path / "in.png", picture(32, 24, 0)).rename(tmp_path / "in.mp4")
    assert probe(tmp_path / "in.mp4").kind == "image"
    make(tmp_path / "clip.mp4").rename(tmp_path / "clip.jpg")
    assert probe(tmp_path / "clip.jpg").kind == "video"


def test_gif_in(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", frames=6, step=1, time_base=Fraction(1, 10))
    copy(source, tmp_path / "a.gif", crf=None)
    reader, _ = copy(tmp_path / "a.gif", tmp_path / "out.mp4")
    assert reader.info.kind == "video"
    assert look(tmp_path / "out.mp4").times == [Fraction(n, 10) for n in range(6)]
