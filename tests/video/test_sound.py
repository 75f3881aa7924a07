"""Sound of any number of channels, named or not, in every container; cues that overlap and are cut."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.video.conftest import copy
from tests.video.make import ASS_HEADER, look, make, picture


def clip(path: Path, codec: str, channels: int, rate: int = 48000, seconds: float = 0.4) -> Path:
    """A clip with sound whose container (AVI) does not name the channels."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=25, width=64, height=48)
        sound = out.add_stream(codec, rate=rate)
        layout = {1: "mono", 2: "stereo"}.get(channels) or "+".join(
            ["FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC"][:channels]
        )
        sound.codec_context.layout = layout
        form = sound.codec_context.format.name
        for index in range(round(seconds * 25)):
            frame = av.VideoFrame.from_ndarray(picture(64, 48, index), "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(video.encode(frame))
        tone = (9000 * np.sin(np.arange(round(seconds * rate)) / 20)).astype(np.int16)
        whole = av.AudioFrame.from_ndarray(np.repeat(tone, channels)[None], "s16", layout)
        whole.sample_rate, whole.pts, whole.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(form, layout, rate, sound.codec_context.frame_size or 1024)
        for piece in [*resampler.resample(whole), *resampler.resample(None)]:
            out.mux(sound.encode(piece))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize(
    ("codec", "channels"),
    [*(("pcm_s16le", n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12)), ("pcm_u8", 2), ("pcm_s24le", 2),
     ("pcm_f32le", 6), ("adpcm_ms", 2), ("pcm_alaw", 1), ("mp2", 2), ("ac3", 2)],
)  # fmt: skip
def test_channels_without_names(codec: str, channels: int, suffix: str, tmp_path: Path) -> None:
    source = clip(tmp_path / "source.avi", codec, channels)
    copy(source, tmp_path / f"out.{suffix}", preset="ultrafast")
    with av.open(str(tmp_path / f"out.{suffix}")) as out:
        (sound,) = out.streams.audio
        level, length = 0.0, 0
        packed = av.AudioResampler(format="flt")  # arrays of eight planes are not safe in PyAV
        for frame in (piece for whole in out.decode(sound) for piece in packed.resample(whole)):
            samples = frame.to_ndarray().astype(np.float64)
            length += frame.samples
            level = max(level, float(np.abs(samples).max()))
        assert level > 0.1
        assert length / sound.codec_context.sample_rate == pytest.approx(0.4, abs=0.08)


def test_a_cut_of_sound_without_names(tmp_path: Path) -> None:
    source = clip(tmp_path / "source.avi", "pcm_s16le", 2, seconds=1.0)
    copy(source, tmp_path / "out.webm", start=0.2, end=0.6, preset="ultrafast")
    (track,) = look(tmp_path / "out.webm", pixels=False).packets["audio"]
    assert float(track[-1][0] + track[-1][1]) == pytest.approx(0.4, abs=0.05)


def with_cues(path: Path, cues: list[tuple[int, int, str]], codec: str) -> Path:
    """A clip of a second with subtitles; times in milliseconds."""
    make(path.with_name("plain.mkv"), frames=25, step=40, time_base=Fraction(1, 1000))
    with av.open(str(path.with_name("plain.mkv"))) as old, av.open(str(path), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0], opaque=True)
        text = new.add_stream(codec)
        text.codec_context.time_base = Fraction(1, 1000)
        text.codec_context.subtitle_header = ASS_HEADER
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.stream = video
                new.mux(packet)
        for begins, ends, line in cues:
            packet = av.Packet(line.encode())
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = begins
            packet.duration = ends - begins
            new.mux(packet)
    return path


def cues_of(path: Path) -> list[tuple[int, int, str]]:
    """What mp4 shows: (begins, ends, text) in milliseconds, without the empty texts in the gaps."""
    (track,) = look(path, pixels=False).packets["subtitle"]
    found = [
        (round(b * 1000), round((b + d) * 1000), p[2 : 2 + int.from_bytes(p[:2], "big")].decode()) for b, d, p in track
    ]
    return [cue for cue in found if cue[2]]


OVERLAPS = {
    "two": ([(100, 500, "one"), (300, 900, "two")],
            [(100, 300, "one"), (300, 500, "one\ntwo"), (500, 900, "two")]),
    "inside": ([(100, 900, "long"), (300, 500, "short")],
               [(100, 300, "long"), (300, 500, "long\nshort"), (500, 900, "long")]),
    "same": ([(100, 500, "a"), (100, 500, "b")], [(100, 500, "a\nb")]),
    "three": ([(0, 600, "a"), (200, 800, "b"), (400, 1000, "c")],
              [(0, 200, "a"), (200, 400, "a\nb"), (400, 600, "a\nb\nc"), (600, 800, "b\nc"), (800, 1000, "c")]),
    "apart": ([(100, 200, "a"), (300, 400, "b")], [(100, 200, "a"), (300, 400, "b")]),
    "touching": ([(100, 200, "a"), (200, 400, "b")], [(100, 200, "a"), (200, 400, "b")]),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("kind", OVERLAPS)
def test_overlapping_cues_keep_their_times(kind: str, suffix: str, tmp_path: Path) -> None:
    cues, shown = OVERLAPS[kind]
    source = with_cues(tmp_path / "source.mkv", cues, "srt")
    copy(source, tmp_path / f"out.{suffix}", preset="ultrafast")
    assert cues_of(tmp_path / f"out.{suffix}") == shown


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_cues_are_cut_with_the_picture(suffix: str, tmp_path: Path) -> None:
    source = with_cues(tmp_path / "source.mkv", [(100, 900, "long"), (950, 990, "late")], "srt")
    copy(source, tmp_path / f"out.{suffix}", start=0.4, end=0.8, preset="ultrafast")
    new = look(tmp_path / f"out.{suffix}", pixels=False)
    (track,) = new.packets["subtitle"]
    assert [(round(float(b), 2), round(float(d), 2)) for b, d, p in track if p.strip(b"\0")] == [(0.0, 0.4)]
    mp4 = make(tmp_path / "text.mp4", frames=25, step=40, time_base=Fraction(1, 1000), subtitles=["mov_text"])
    copy(mp4, tmp_path / f"mp4.{suffix}", start=0.24, end=0.32, preset="ultrafast")
    (track,) = look(tmp_path / f"mp4.{suffix}", pixels=False).packets["subtitle"]
    assert [(round(float(b), 2), round(float(d), 2)) for b, d, p in track if p.strip(b"\0")] == [(0.0, 0.08)]
