"""Sizes on demand, hardware encoders by name, and full frames from interlaced ones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from segnst.config import Settings
from segnst.errors import OutputError, UsageError
from segnst.video.codecs import available, choose
from segnst.video.color import SPACE_709, ColorTags, FromRGB, ToRGB
from segnst.video.read import open_reader
from segnst.video.write import open_writer
from tests.video.make import look, make, picture


def _copy(source: Path, target: Path, **options: object) -> Path:
    with open_reader(source) as reader, open_writer(target, reader, **options) as writer:  # type: ignore[arg-type]
        for clip in reader:
            writer.write(clip)
    return target


@pytest.mark.parametrize(
    ("text", "bits"), [("8M", 8_000_000), ("4500k", 4_500_000), ("800000", 800_000), ("1.5m", 1_500_000), (None, None)]
)
def test_bits_per_second(text: str | None, bits: int | None) -> None:
    assert Settings(bitrate=text).bits() == bits


@pytest.mark.parametrize("text", ["", "fast", "0", "-8M", "8G", "1" * 40, "12 M", "nan"])
def test_what_is_no_rate_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="--bitrate must be bits per second"):
        Settings(bitrate=text)


def test_quality_and_size_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="leave one out"):
        Settings(bitrate="1M", crf=20)


@pytest.mark.parametrize(("codec", "suffix"), [("h264", ".mp4"), ("hevc", ".mp4"), ("vp9", ".webm"), ("av1", ".mkv")])
def test_a_larger_rate_makes_a_larger_file(codec: str, suffix: str, tmp_path: Path) -> None:
    source = tmp_path / "noise.mkv"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("ffv1", rate=25, width=160, height=96)
        stream.pix_fmt = "yuv420p"
        random = np.random.default_rng(0)
        for _ in range(12):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(random.integers(0, 255, (96, 160, 3), np.uint8), "rgb24")))
        out.mux(stream.encode())
    small, large = (
        _copy(source, tmp_path / f"{rate}{suffix}", codec=codec, bit_rate=rate, preset="ultrafast").stat().st_size
        for rate in (100_000, 4_000_000)
    )
    assert large > 1.3 * small


def test_a_rate_where_there_is_none_is_told(tmp_path: Path) -> None:
    encoding = choose("ffv1", "matroska", "yuv420p", 8, None, None, bit_rate=1_000_000)
    assert encoding.warnings == ["ffv1 does not support --bitrate; it was ignored."]


def test_a_missing_device_is_named(tmp_path: Path) -> None:
    """Whatever this machine has, the encoder either writes the film or says which device it needs."""
    if not available("h264_nvenc"):
        pytest.skip("this PyAV was built without NVENC")
    source = make(tmp_path / "a.mp4", size=(256, 192))
    try:
        made = _copy(source, tmp_path / "b.mp4", codec="h264_nvenc")
    except OutputError as error:
        assert "h264_nvenc needs an NVIDIA GPU with its driver" in str(error) and "--codec h264" in str(error)
        assert {p.name for p in tmp_path.iterdir()} == {"a.mp4"}
    else:
        assert len(look(made).pictures) == 12


def test_an_encoder_that_this_build_lacks_is_told(tmp_path: Path) -> None:
    name = next(n for n in ("h264_videotoolbox", "h264_vaapi", "h264_mf") if not available(n))
    with pytest.raises(OutputError, match=f"built without the encoder {name}, which needs .*use --codec h264"):
        choose(name, "mp4", "yuv420p", 8, None, None)


@pytest.mark.parametrize("crf", [None, 27])
def test_hardware_gets_its_own_quality(crf: int | None) -> None:
    if not available("hevc_nvenc"):
        pytest.skip("this PyAV was built without NVENC")
    encoding = choose("hevc_nvenc", "mp4", "yuv420p10le", 10, crf, "fast")
    assert encoding.options == {"cq": str(crf or 20), "rc": "vbr", "preset": "p3"}
    assert encoding.pixel_format == "p010le"
    assert choose("hevc_nvenc", "mp4", "yuv420p", 8, None, None, bit_rate=5_000_000).bit_rate == 5_000_000


@pytest.mark.parametrize(("name", "planar"), [("nv12", "yuv420p"), ("p010le", "yuv420p10le")])
def test_interleaved_chroma_has_the_same_values(name: str, planar: str) -> None:
    rgb = picture(64, 48, 3).transpose(2, 0, 1).astype(np.float32) / 255
    one, other = (FromRGB(form, SPACE_709, False, (64, 48), (0, 0))(rgb) for form in (name, planar))
    assert (one.format.name, other.format.name) == (name, planar)
    back = [ToRGB(ColorTags(matrix=SPACE_709), 48, alpha=False)(frame, 64, 48) for frame in (one, other)]
    assert np.array_equal(*back)


def _combed(path: Path, *, marked: bool) -> Path:
    """A bar that moves 8 px a field, the fields of two moments in each frame; irregular times."""
    with av.open(str(path), "w", container_options={"video_track_timescale": "1000"}) as out:
        options = {"crf": "4", "x264-params": "bframes=0" + (":tff=1:interlaced=1" if marked else "")}
        stream = out.add_stream("libx264", rate=25, options=options, width=128, height=64, time_base=Fraction(1, 1000))
        stream.pix_fmt = "yuv420p"
        for number, pts in enumerate((0, 40, 80, 130, 170, 210)):
            pixels = np.full((64, 128, 3), 40, np.uint8)
            for field in (0, 1):
                left = 16 * number + 8 * field
                pixels[field::2, left : left + 16] = 220
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def _read(path: Path, **options: object) -> tuple[list[int], list[np.ndarray], list[str]]:
    with open_reader(path, **options) as reader:  # type: ignore[arg-type]
        clips = list(reader)
        return [c.pts[0] for c in clips], [c.rgb[0].numpy() for c in clips], reader.warnings


@pytest.mark.parametrize("marked", [True, False])
def test_combs_go_and_times_stay(marked: bool, tmp_path: Path) -> None:
    source = _combed(tmp_path / "a.mp4", marked=marked)
    times, combed, said = _read(source)
    full_times, full, quiet = _read(source, deinterlace=True)
    assert any("--deinterlace" in text for text in said) is marked
    assert not quiet
    assert full_times == times and len(full) == 6

    def comb(picture: np.ndarray) -> float:  # how much a line differs from both of its neighbors
        middle = picture[:, 1:-1]
        return float(np.abs(2 * middle - picture[:, :-2] - picture[:, 2:]).mean())

    for before, after in zip(combed[1:-1], full[1:-1], strict=True):
        assert comb(after) < 0.4 * comb(before)


def test_a_range_of_full_frames_is_that_of_the_whole(tmp_path: Path) -> None:
    source = _combed(tmp_path / "a.mp4", marked=True)
    times, whole, _ = _read(source, deinterlace=True)
    some_times, some, _ = _read(source, deinterlace=True, start=0.08, end=0.16)
    at = times.index(some_times[0])
    assert some_times == times[at : at + 2] == [80, 130]
    for one, other in zip(some, whole[at:], strict=False):
        assert np.array_equal(one, other)
