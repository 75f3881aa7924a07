"""Stills: profiles that fit, pictures turned by AVIF's own boxes, animations and what is only named."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from segnst.errors import InputError
from segnst.jobs.outputs import default_output
from segnst.video import images
from segnst.video.heif import transforms
from segnst.video.probe import probe
from segnst.video.read import open_reader
from tests.video.conftest import copy
from tests.video.make import look, picture

PICTURE = picture(64, 48, 0)


def profile(space: bytes) -> bytes:
    """The header of a color profile and nothing else."""
    return struct.pack(">I4sI4s4s4s", 132, b"none", 0x02400000, b"mntr", space, b"XYZ ") + bytes(108)


def encoded(suffix: str, pixels: np.ndarray, kind: int, block: bytes) -> bytes:
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    ok, data = cv2.imencodeWithMetadata(suffix, np.ascontiguousarray(bgr), [kind], [np.frombuffer(block, np.uint8)])
    assert ok
    return data.tobytes()


def icc_of(path: Path) -> bytes:
    _, kinds, blocks = cv2.imdecodeWithMetadata(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    found = [bytes(bytearray(b)) for k, b in zip(kinds, blocks, strict=True) if int(k) == int(cv2.IMAGE_METADATA_ICCP)]
    return found[0] if found else b""


@pytest.mark.parametrize("space", [b"GRAY", b"CMYK", b"Lab ", b"RGB "])
@pytest.mark.parametrize("suffix", [".jpg", ".webp"])  # libpng looks into profiles itself
def test_a_profile_is_kept_only_if_it_fits(space: bytes, suffix: str, tmp_path: Path) -> None:
    data = encoded(suffix, PICTURE, cv2.IMAGE_METADATA_ICCP, profile(b"RGB "))
    source = tmp_path / f"a{suffix}"
    source.write_bytes(data.replace(profile(b"RGB "), profile(space)))
    assert icc_of(source) == profile(space)
    reader, _ = copy(source, tmp_path / f"out{suffix}", crf=None)
    assert icc_of(tmp_path / f"out{suffix}") == (profile(space) if space == b"RGB " else b"")
    assert any("profile" in warning for warning in reader.warnings) == (space != b"RGB ")


def exif(orientation: int) -> bytes:
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_by_its_boxes(orientation: int, tmp_path: Path) -> None:
    """libavif writes the boxes of EXIF's orientation; the right turn is what the same EXIF does in a PNG."""
    (tmp_path / "a.avif").write_bytes(encoded(".avif", PICTURE, cv2.IMAGE_METADATA_EXIF, exif(orientation)))
    (tmp_path / "a.png").write_bytes(encoded(".png", PICTURE, cv2.IMAGE_METADATA_EXIF, exif(orientation)))
    steps = transforms((tmp_path / "a.avif").read_bytes())
    assert bool(steps) == (orientation != 1)
    one, other = images.load(tmp_path / "a.avif"), images.load(tmp_path / "a.png")
    assert one.pixels.shape == other.pixels.shape
    assert np.abs(one.pixels.astype(int) - other.pixels).mean() < 8
    copy(tmp_path / "a.avif", tmp_path / "out.png", crf=None)
    assert images.load(tmp_path / "out.png").pixels.shape == other.pixels.shape


def test_damaged_boxes_turn_nothing() -> None:
    data = encoded(".avif", PICTURE, cv2.IMAGE_METADATA_EXIF, exif(6))
    for cut in range(0, 400, 7):
        transforms(data[:cut])
        transforms(data[:cut] + b"\xff" * 8 + data[cut + 8 :])


def webp(path: Path, durations: list[int], alpha: bool = False) -> Path:
    animation = cv2.Animation()
    frames = []
    for index in range(len(durations)):
        frame = np.ascontiguousarray(picture(64, 48, 20 * index)[..., ::-1])
        if alpha:
            frame = np.dstack([frame, np.full((48, 64), 255 if index else 0, np.uint8)])
        frames.append(frame)
    animation.frames, animation.durations = frames, np.array(durations)
    assert cv2.imwriteanimation(str(path), animation)
    return path


@pytest.mark.parametrize("alpha", [False, True])
def test_animated_webp(alpha: bool, tmp_path: Path) -> None:
    lasting = [40, 120, 40, 200, 40]
    source = webp(tmp_path / "a.webp", lasting, alpha)
    info = probe(source)
    assert (info.kind, info.frames, info.duration) == ("animation", 5, pytest.approx(0.44))
    copy(source, tmp_path / "out.webm")
    new = look(tmp_path / "out.webm")
    assert [round(float(time), 3) for time in new.times] == [0, 0.04, 0.16, 0.2, 0.4]
    copy(source, tmp_path / "out.mp4")
    new = look(tmp_path / "out.mp4")
    assert [round(float(time), 3) for time in new.times] == [0, 0.04, 0.16, 0.2, 0.4]
    assert float(new.last_duration) == pytest.approx(0.04)
    copy(source, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 5
    with open_reader(source, start=0.1, end=0.3, max_size=32) as reader:
        assert [clip.pts for clip in reader] == [(160,), (200,)] and reader.width == 32
    assert default_output(source, ["x"]).suffix == ".mp4"


def test_a_long_animation_is_decoded_in_pieces(tmp_path: Path) -> None:
    source = webp(tmp_path / "a.webp", [20 + n for n in range(70)])
    with open_reader(source) as reader:
        clips = list(reader)
    assert len(clips) == 70 and clips[-1].pts == (sum(20 + n for n in range(69)),)
    assert abs(float((clips[40].rgb * 255).numpy()[0, 2].mean()) - picture(64, 48, 800)[..., 2].mean()) < 6


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for brands in (b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic"):
        (tmp_path / "a.heic").write_bytes(struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + bytes(200))
        with pytest.raises(InputError, match="HEIC"):
            open_reader(tmp_path / "a.heic")


def test_pages_beyond_the_first_are_said(tmp_path: Path) -> None:
    ok, data = cv2.imencodemulti(".tiff", [PICTURE, PICTURE, PICTURE])
    assert ok
    (tmp_path / "a.tiff").write_bytes(data.tobytes())
    assert any("3 pages" in warning for warning in probe(tmp_path / "a.tiff").warnings)
    cv2.imwrite(str(tmp_path / "b.tiff"), PICTURE)
    assert not probe(tmp_path / "b.tiff").warnings


@pytest.mark.parametrize("names", [["a²1.png", "a²2.png", "a²10.png"], ["x1.png", "x²2.png"], ["٣.png", "١٢.png"]])
def test_digits_that_are_no_numbers(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_bytes(images.encode(np.zeros((3, 48, 64), np.float32), ".png", deep=False))
    found = [path.name for path in images.frame_files(tmp_path)]
    assert sorted(found) == sorted(names) and (found == names or "x" in names[0])


@pytest.mark.parametrize("trial", ["irot.avif", "animated.webp", "cmyk_icc.jpg", "frames_superscript"])
def test_the_trials(trial: str, shared: Path, tmp_path: Path) -> None:
    source = shared / "trials" / trial
    if not source.exists():
        pytest.skip("shared/trials is not here")
    output = tmp_path / ("out.webm" if trial == "animated.webp" else "out" if source.is_dir() else "out.png")
    copy(source, output, crf=None)
    if trial == "irot.avif":
        assert images.load(output).pixels.shape == (160, 120, 3)
