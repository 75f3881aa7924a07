"""Which stream is the film, what it is called, and what it says of itself."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import pytest

from segnst.errors import InputError, OutputError
from segnst.video.info import CountedFacts
from segnst.video.probe import probe
from segnst.video.read import open_reader
from tests.video.conftest import copy
from tests.video.make import look, make, picture


def with_thumbnail(path: Path, *, first: bool, size: int, codec: str = "mjpeg", default: bool = True) -> Path:
    """A film of 64x48 and a picture that nothing marks as a cover."""
    with av.open(str(path), "w") as out:

        def thumbnail():
            stream = out.add_stream(codec, rate=25, width=size, height=size)
            stream.codec_context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
            if default:
                stream.disposition = av.stream.Disposition.default
            return stream

        picture_stream = thumbnail() if first else None
        film = out.add_stream("libx264", rate=25, width=64, height=48, options={"preset": "ultrafast"})
        film.codec_context.pix_fmt = "yuv420p"
        picture_stream = picture_stream or thumbnail()
        form = picture_stream.codec_context.pix_fmt
        still = av.VideoFrame.from_ndarray(picture(size, size, 0), "rgb24").reformat(format=form)
        still.pts, still.time_base = 0, Fraction(1, 25)
        out.mux(picture_stream.encode(still))
        out.mux(picture_stream.encode(None))
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(picture(64, 48, index), "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(film.encode(frame))
        out.mux(film.encode(None))
    return path


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("size", [32, 400])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "avi"])
@pytest.mark.parametrize("codec", ["mjpeg", "png"])
def test_a_thumbnail_is_not_the_film(first: bool, size: int, suffix: str, codec: str, tmp_path: Path) -> None:
    if (codec, suffix) == ("png", "mkv"):
        pytest.skip("Matroska has no PNG streams")
    source = with_thumbnail(tmp_path / f"source.{suffix}", first=first, size=size, codec=codec)
    info = probe(source)
    assert (info.width, info.height, info.codec) == (64, 48, "h264")
    with open_reader(source) as reader:
        assert len(list(reader)) == 10


def test_motion_jpeg_is_a_film(tmp_path: Path) -> None:
    source = make(tmp_path / "source.avi", codec="mjpeg", pixel_format="yuvj420p", step=1, time_base=Fraction(1, 25))
    assert probe(source).codec == "mjpeg"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_largest_variant_of_a_playlist_with_its_own_sound(order: tuple[int, ...], tmp_path: Path) -> None:
    sizes = [(32, 24), (64, 48), (128, 96)]
    lines = ["#EXTM3U"]
    for number in order:
        make(tmp_path / f"v{number}.ts", size=sizes[number], step=3600, time_base=Fraction(1, 90000), audio=["aac"])
        (tmp_path / f"v{number}.m3u8").write_text(
            f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.48,\nv{number}.ts\n#EXT-X-ENDLIST\n"
        )
        lines += [f"#EXT-X-STREAM-INF:BANDWIDTH={100000 * (number + 1)},RESOLUTION=1x1", f"v{number}.m3u8"]
    (tmp_path / "m.m3u8").write_text("\n".join(lines) + "\n")
    assert probe(tmp_path / "m.m3u8").width == 128
    reader, writer = copy(tmp_path / "m.m3u8", tmp_path / "out.mp4", preset="ultrafast")
    new = look(tmp_path / "out.mp4", pixels=False)
    assert new.size == (128, 96) and len(new.times) == 12 and len(new.packets["audio"]) == 1
    assert "variant_bitrate" not in str(new.metadata) and reader.warnings == writer.warnings == []


def test_header_and_counted_facts_are_two_things(tmp_path: Path) -> None:
    info = probe(make(tmp_path / "a.mp4"))
    assert info.counted is None and info.header.frames == 12 == info.frames
    info = probe(make(tmp_path / "a.ts", step=3600, time_base=Fraction(1, 90000)))
    assert info.counted == CountedFacts(12, pytest.approx(0.48)) and info.frames == 12  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["12:30.mp4", "http:x.mp4", "file:a.mp4", "concat:b.mp4", "a%03d.mp4", "-x.mp4", "ü ß.mp4"]
)
def test_a_file_is_a_file_whatever_its_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "plain.mp4", audio=["aac"]).rename(tmp_path / name)
    for output in (f"out {name}", f"9:15 {name[:-4]}.gif", f"1:2 {name[:-4]}.png"):
        start = {"end": 0.02} if output.endswith("png") else {}
        copy(Path(name), Path(output), crf=None, **start)
        assert (tmp_path / output).stat().st_size > 0


def test_a_playlist_with_a_colon_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "v.ts", step=3600, time_base=Fraction(1, 90000))
    Path("12:30.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.48,\nv.ts\n#EXT-X-ENDLIST\n")
    with open_reader("12:30.m3u8") as reader:
        assert len(list(reader)) == 12


@pytest.mark.parametrize(
    "name", ["界" * 78 + ".mp4", "é" * 120 + ".mkv", "x" * 251 + ".png", "界" * 83, b"caf\xe9.mp4"]
)
def test_names_as_long_as_the_file_system_takes(name: str | bytes, tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", frames=1)
    output = tmp_path / os.fsdecode(name)
    copy(source, output, crf=None)
    assert output.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", os.fsdecode(name)}


@pytest.mark.parametrize(("stored", "read"), [
    (b"Caf\xe9 Z\xfcr", "Café Zür"), (b"\x93quoted\x94", "“quoted”"), ("naïve 界".encode(), "naïve 界"),
    (b"a\x81b", None),
])  # fmt: skip
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "mov"])
def test_metadata_in_any_encoding(stored: bytes, read: str | None, suffix: str, tmp_path: Path) -> None:
    mark = b"T" * len(stored)
    source = make(tmp_path / "a.avi", step=1, time_base=Fraction(1, 25), metadata={"title": mark.decode()})
    data = source.read_bytes()
    assert mark in data
    source.write_bytes(data.replace(mark, stored))
    copy(source, tmp_path / f"out.{suffix}", preset="ultrafast")
    new = {key.lower(): value for key, value in look(tmp_path / f"out.{suffix}", pixels=False).metadata.items()}
    assert new["title"] == read if read is not None else new["title"].startswith("a")


def test_what_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path, word in (
        (tmp_path / "pipe.mp4", "pipe"), ("/dev/null", "device"), ("-", "Standard input"),
        ("https://example.org/a.mp4", "https://example.org/a.mp4 is a network address"),
        ("rtsp://example.org/a", "address"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=word):
            open_reader(path)


@pytest.mark.parametrize("suffix", ["avi", "ts", "heic"])
def test_a_format_that_others_write_is_no_slip(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"does not write {suffix}"):
        copy(make(tmp_path / "a.mp4", frames=1), tmp_path / f"out.{suffix}")


def test_a_gif_of_a_fast_film_is_as_long_as_the_film(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", step=1, time_base=Fraction(1, 1000), frames=300)
    _, writer = copy(source, tmp_path / "out.gif", crf=None)
    new = look(tmp_path / "out.gif", pixels=False)
    assert float(new.times[-1] + new.last_duration) == pytest.approx(0.3, abs=0.021)
    assert any("dropped" in warning for warning in writer.warnings)


def test_a_playlist_without_an_end_is_read_from_its_beginning(tmp_path: Path) -> None:
    """FFmpeg would take it for a live one: show the last three pieces and wait for more."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1"]
    for number in range(5):
        pts = [3600 * (4 * number + index) for index in range(4)]
        make(tmp_path / f"{number}.ts", pts=pts, step=3600, time_base=Fraction(1, 90000), options={"bf": "0"})
        lines += ["#EXTINF:0.16,", f"{number}.ts"]
    (tmp_path / "live.m3u8").write_text("\n".join(lines) + "\n")
    with open_reader(tmp_path / "live.m3u8") as reader:
        assert len(list(reader)) == 20
