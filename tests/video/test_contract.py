"""Every kind of input through reading and writing: what must be kept, is kept."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from segnst.video.read import open_reader
from tests.video.conftest import copy
from tests.video.make import QUARTER_TURN, Recipe, add_cover, cover_streams, look, make, psnr

BT709 = {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1}
VFR = [0, 900, 2500, 2600, 4100, 7000, 7300, 9000, 9050, 12000]

KINDS: dict[str, Recipe] = {
    "plain": Recipe(tags=BT709, audio=["aac"]),
    "no-audio": Recipe(),
    "vfr": Recipe(pts=VFR, audio=["aac"], last_duration=777, options={"crf": "10", "bf": "0"}),
    "vfr-b-frames": Recipe(pts=VFR, audio=["aac"], last_duration=777),
    "no-b-frames": Recipe(options={"crf": "10", "preset": "veryfast", "bf": "0"}),
    "b-frames": Recipe(frames=20, options={"crf": "10", "preset": "medium", "bf": "4"}),
    "start-offset": Recipe(pts=[3003 + 1001 * n for n in range(12)], audio=["aac"]),
    "rotated": Recipe(matrix=QUARTER_TURN, audio=["aac"]),
    "mirrored": Recipe(matrix=(-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)),
    "upside-down": Recipe(matrix=(-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30)),
    "anamorphic": Recipe(aspect=Fraction(16, 11)),
    "tall-pixels": Recipe(aspect=Fraction(3, 4), matrix=QUARTER_TURN),
    "10-bit": Recipe(pixel_format="yuv420p10le", tags=BT709),
    "4:2:2": Recipe(pixel_format="yuv422p"),
    "4:4:4": Recipe(pixel_format="yuv444p"),
    "full-range": Recipe(tags={**BT709, "color_range": 2}),
    "bt2020": Recipe(tags={"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": 14}),
    "bt601": Recipe(tags={"colorspace": 6, "color_range": 1, "color_primaries": 6, "color_trc": 6}),
    "two-audio": Recipe(audio=["aac", "aac"]),
    "surround-less": Recipe(audio=["mp3"]),
    "subtitles": Recipe(audio=["aac"], subtitles=["mov_text"]),
    "chapters": Recipe(chapters=True),
    "one-frame": Recipe(frames=1),
    "25-fps": Recipe(step=1, time_base=Fraction(1, 25)),
    "12-fps-odd-scale": Recipe(step=100, time_base=Fraction(1, 1199)),
}
LEAST = 41.5  # dB; an encoder divides its work by the threads it has, which moves this by a tenth


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("clips")

    def get(kind: str, suffix: str = ".mp4") -> Path:
        path = folder / f"{kind.replace(':', '')}{suffix}"
        return path if path.exists() else make(path, KINDS[kind])

    return get


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("kind", KINDS)
def test_mp4_and_mov_keep_everything(kind: str, suffix: str, clips, tmp_path: Path) -> None:
    source = clips(kind)
    reader, writer = copy(source, tmp_path / f"out{suffix}")
    old, new = look(source), look(tmp_path / f"out{suffix}")
    assert writer.frames_written == len(old.times) == len(new.times)
    assert new.times == old.times
    assert new.end == old.end
    if kind in ("vfr", "no-b-frames"):
        assert new.last_duration == old.last_duration
    assert new.size == old.size
    assert new.matrix == old.matrix
    assert new.aspect == old.aspect
    assert new.tags == old.tags
    assert new.pixel_format == old.pixel_format
    for kind_of_stream in ("audio", "subtitle"):
        assert new.packets.get(kind_of_stream, []) == old.packets.get(kind_of_stream, [])
        assert new.languages.get(kind_of_stream, []) == [
            {"deu": "ger"}.get(name, name) if suffix == ".mov" else name
            for name in old.languages.get(kind_of_stream, [])
        ]
    assert new.chapters == old.chapters
    assert min(psnr(a, b) for a, b in zip(old.rgb, new.rgb, strict=True)) >= LEAST
    assert abs(np.mean([b.mean() - a.mean() for a, b in zip(old.rgb, new.rgb, strict=True)])) <= 0.5
    assert reader.warnings == writer.warnings == []
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]


@pytest.mark.parametrize("kind", KINDS)
def test_mkv_keeps_everything_but_the_last_half_millisecond(kind: str, clips, tmp_path: Path) -> None:
    source = clips(kind)
    copy(source, tmp_path / "out.mkv")
    old, new = look(source), look(tmp_path / "out.mkv")
    assert len(new.times) == len(old.times)
    assert max(abs(a - b) for a, b in zip(old.times, new.times, strict=True)) <= Fraction(1, 2000)
    assert (new.size, new.aspect or 1, new.tags, new.pixel_format) == (
        old.size,
        old.aspect or 1,
        old.tags,
        old.pixel_format,
    )
    assert bool(new.matrix) == bool(old.matrix)
    if old.matrix:
        assert new.matrix is not None and new.matrix[:6] == old.matrix[:6]
    for a, b in zip(old.packets.get("audio", []), new.packets.get("audio", []), strict=True):
        assert [packet[2] for packet in a] == [packet[2] for packet in b]
        assert max(abs(x[0] - y[0]) for x, y in zip(a, b, strict=True)) <= Fraction(1, 1000)
    assert [len(track) for track in new.packets.get("subtitle", [])] == [2 for _ in old.packets.get("subtitle", [])]
    assert min(psnr(a, b) for a, b in zip(old.rgb, new.rgb, strict=True)) >= LEAST


@pytest.mark.parametrize("kind", ["plain", "vfr", "rotated", "anamorphic", "two-audio", "subtitles", "start-offset"])
def test_webm(kind: str, clips, tmp_path: Path) -> None:
    source = clips(kind)
    _, writer = copy(source, tmp_path / "out.webm")
    old, new = look(source), look(tmp_path / "out.webm")
    assert max(abs(a - b) for a, b in zip(old.times, new.times, strict=True)) <= Fraction(1, 2000)
    assert bool(new.matrix) == bool(old.matrix)
    if kind == "anamorphic":  # VP9 cannot say so in webm
        assert new.size == (93, 48) and "square pixels" in " ".join(writer.warnings)
        return
    assert new.size == old.size
    assert new.codec == "vp9"
    if kind == "plain":  # untagged, VP9 says "limited"
        assert new.tags == old.tags
    assert len(new.packets.get("audio", [])) == len(old.packets.get("audio", []))
    for a, b in zip(old.packets.get("audio", []), new.packets.get("audio", []), strict=True):
        assert abs((a[-1][0] + a[-1][1]) - (b[-1][0] + b[-1][1])) < Fraction(1, 20)
    said = " ".join(writer.warnings)
    assert ("re-encoded as libopus" in said) == bool(old.packets.get("audio"))
    assert ("webvtt" in said) == bool(old.packets.get("subtitle"))
    assert min(psnr(a, b) for a, b in zip(old.rgb, new.rgb, strict=True)) >= 40


@pytest.mark.parametrize("kind", ["plain", "vfr", "start-offset"])
def test_gif_keeps_times_to_a_hundredth(kind: str, clips, tmp_path: Path) -> None:
    source = clips(kind)
    _, writer = copy(source, tmp_path / "out.gif", crf=None)
    old, new = look(source), look(tmp_path / "out.gif")
    since = [t - old.times[0] for t in old.times]
    close = max(abs(a - b) for a, b in zip(since, new.times, strict=True))
    if kind == "vfr":  # two frames 1.7 ms apart cannot both be on time
        assert "shown later than in the source" in " ".join(writer.warnings)
        assert close <= Fraction(2, 100)
    else:
        assert close <= Fraction(1, 200)
    assert psnr(old.rgb[3], new.rgb[3]) > 28
    assert ("no sound" in " ".join(writer.warnings)) == bool(old.packets.get("audio"))


def test_what_the_networks_see(clips) -> None:
    def first(kind: str):
        with open_reader(clips(kind)) as reader:
            clip = next(iter(reader))
            assert clip.rgb.shape == (1, 3, reader.height, reader.width)
            assert clip.rgb.is_contiguous() and clip.rgb.min() >= 0 and clip.rgb.max() <= 1
            return clip.rgb[0]

    def red(tensor) -> float:  # the marked corner
        return float(tensor[0].mean() - tensor[1].mean())

    plain = first("plain")
    assert plain.shape == (3, 48, 64)
    assert red(plain[:, :10, :14]) > 0.4
    turned = first("rotated")  # 90 degrees clockwise: the corner comes to the upper right
    assert turned.shape == (3, 64, 48)
    assert red(turned[:, :14, -10:]) > 0.4
    assert red(first("mirrored")[:, :10, -14:]) > 0.4
    assert red(first("upside-down")[:, -10:, -14:]) > 0.4
    assert first("anamorphic").shape == (3, 48, 93)
    assert first("tall-pixels").shape == (3, 64, 64)


def test_metadata(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mkv", metadata={"title": "A street", "artist": "me", "com.android.version": "14"})
    for suffix in (".mp4", ".mkv", ".mov"):
        copy(source, tmp_path / f"out{suffix}")
        found = {key.lower(): value for key, value in look(tmp_path / f"out{suffix}").metadata.items()}
        assert found["title"] == "A street" and found["com.android.version"] == "14", suffix


def test_more_video_streams_are_dropped_with_a_word(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", second_video=True, audio=["aac"])
    _, writer = copy(source, tmp_path / "out.mp4")
    assert len(look(tmp_path / "out.mp4").packets["video"]) == 1
    assert writer.warnings == ["The file has more than one video stream; video stream 1 was dropped."]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_covers(suffix: str, tmp_path: Path) -> None:
    source = add_cover(make(tmp_path / "plain.mp4", audio=["aac"]), tmp_path / "in.mp4")
    _, writer = copy(source, tmp_path / f"out{suffix}")
    covers = cover_streams(tmp_path / f"out{suffix}")
    if suffix in (".webm", ".mov"):  # FFmpeg writes none there
        assert "cover picture in stream 2 was dropped" in " ".join(writer.warnings) and not covers
    else:
        assert covers == cover_streams(source) and writer.warnings == []
    assert len(look(tmp_path / f"out{suffix}", pixels=False).times) == 12


def test_covers_and_fonts_of_mkv(tmp_path: Path) -> None:
    source = add_cover(make(tmp_path / "plain.mp4"), tmp_path / "in.mkv", font=b"not really a font")
    _, writer = copy(source, tmp_path / "out.mkv")
    assert cover_streams(tmp_path / "out.mkv") == cover_streams(source) != []
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert [bytes(s.data) for s in file.streams if s.type == "attachment"] == [b"not really a font"]
    assert writer.warnings == []
    _, writer = copy(source, tmp_path / "out.mp4")
    assert cover_streams(tmp_path / "out.mp4") == cover_streams(source)
    assert "attachment in stream 1 was dropped" in " ".join(writer.warnings)


def test_edit_list_that_hides_the_beginning(tmp_path: Path) -> None:
    """The file holds 20 frames, the first five lie before time 0: players show 15."""
    source = make(tmp_path / "in.mp4", pts=[1001 * n for n in range(-5, 15)], audio=["aac"])
    copy(source, tmp_path / "out.mp4")
    old, new = look(source, pixels=False), look(tmp_path / "out.mp4", pixels=False)
    assert (len(old.packets["video"][0]), len(old.times)) == (20, 15)
    assert (new.times, new.end, new.packets["audio"]) == (old.times, old.end, old.packets["audio"])


@pytest.mark.parametrize("name", ["a.avi", "b.flv"])
def test_other_containers_become_mp4(name: str, tmp_path: Path) -> None:
    audio = ["mp3"] if name == "a.avi" else ["aac"]
    base = Fraction(1, 25) if name == "a.avi" else Fraction(1, 1000)
    step = 1 if name == "a.avi" else 40
    source = make(
        tmp_path / name, codec="mpeg4" if name == "a.avi" else "libx264", audio=audio, time_base=base, step=step
    )
    copy(source, tmp_path / "out.mp4")
    old, new = look(source, pixels=False), look(tmp_path / "out.mp4", pixels=False)
    assert [t - old.times[0] for t in old.times] == [t - new.times[0] for t in new.times]
    assert [p[2] for p in old.packets["audio"][0]] == [p[2] for p in new.packets["audio"][0]]


def test_no_audio(clips, tmp_path: Path) -> None:
    copy(clips("two-audio"), tmp_path / "out.mp4", audio=False)
    assert "audio" not in look(tmp_path / "out.mp4").packets


@pytest.mark.parametrize(
    ("codec", "suffix", "name"),
    [
        ("h264", ".mkv", "h264"), ("hevc", ".mp4", "hevc"), ("vp9", ".mp4", "vp9"), ("av1", ".mp4", "av1"),
        ("av1", ".webm", "av1"), ("ffv1", ".mkv", "ffv1"), ("prores", ".mov", "prores"), ("libx264", ".mov", "h264"),
    ],
)  # fmt: skip
def test_codecs(codec: str, suffix: str, name: str, tmp_path: Path, clips) -> None:
    source = clips("10-bit")
    _, writer = copy(source, tmp_path / f"out{suffix}", codec=codec, crf=None if codec in ("ffv1", "prores") else 8)
    old, new = look(source), look(tmp_path / f"out{suffix}")
    assert name in new.codec or (name, new.codec) == ("av1", "libdav1d")
    assert max(abs(a - b) for a, b in zip(old.times, new.times, strict=True)) <= Fraction(1, 2000)
    assert "10" in new.pixel_format or "8 bits" in " ".join(writer.warnings)
    assert new.tags == old.tags
    assert psnr(old.rgb[5], new.rgb[5]) >= 38  # small and full of edges


@pytest.mark.parametrize(("codec", "suffix"), [("h264", ".mp4"), ("vp9", ".webm"), ("av1", ".mp4"), ("ffv1", ".mkv")])
def test_odd_sizes(codec: str, suffix: str, tmp_path: Path) -> None:
    source = make(tmp_path / "in.mkv", size=(65, 49), codec="ffv1")
    _, writer = copy(source, tmp_path / f"out{suffix}", codec=codec, crf=None)
    old, new = look(source), look(tmp_path / f"out{suffix}")
    said = " ".join(writer.warnings)
    if codec == "h264":
        assert new.size == (66, 50) and "a copy of its last column and row" in said
        assert psnr(old.rgb[0], new.rgb[0][:49, :65]) > 35
    else:
        assert new.size == (65, 49) and "more" not in said
    assert new.pixel_format == "yuv420p"


@pytest.mark.parametrize("kind", ["plain", "rotated", "anamorphic", "tall-pixels"])
def test_max_size_keeps_the_shape(kind: str, clips, tmp_path: Path) -> None:
    source = clips(kind)
    reader, _ = copy(source, tmp_path / "out.mp4", max_size=32)
    assert max(reader.width, reader.height) <= 32
    old, new = look(source), look(tmp_path / "out.mp4")
    assert new.aspect == old.aspect
    assert new.size[0] % 2 == new.size[1] % 2 == 0
    shape = Fraction(*new.size) / Fraction(*old.size)
    assert abs(shape - 1) < 0.08  # of 24 to 32 pixels, rounded to even


def test_max_size_does_not_change_what_an_untagged_matrix_means(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", size=(960, 720), frames=2, tags={"colorspace": 2})
    copy(source, tmp_path / "out.mp4", max_size=480)
    assert look(tmp_path / "out.mp4", pixels=False).tags[0] == 1
    copy(source, tmp_path / "whole.mp4")
    assert look(tmp_path / "whole.mp4", pixels=False).tags[0] == 2
