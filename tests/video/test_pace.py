"""Rates and time bases that a header gets wrong or a codec cannot hold."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from segnst.video.probe import probe
from tests.video.conftest import copy
from tests.video.make import Recipe, look, make, picture


def dv(path: Path, frames: int = 12) -> Path:
    """A raw NTSC DV tape, whose header claims 60000 frames a second."""
    rate = Fraction(30000, 1001)
    with av.open(str(path), "w", format="dv") as out:
        video = out.add_stream("dvvideo", rate=rate, time_base=1 / rate, width=720, height=480)
        video.codec_context.pix_fmt = "yuv411p"
        sound = out.add_stream("pcm_s16le", rate=48000)
        sound.codec_context.layout = "stereo"
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(720, 480, index), "rgb24").reformat(format="yuv411p")
            frame.pts, frame.time_base = index, 1 / rate
            out.mux(video.encode(frame))
            tone = (9000 * np.sin(np.arange(1600) / 20)).astype(np.int16)
            samples = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], "s16", "stereo")
            samples.sample_rate, samples.pts, samples.time_base = 48000, index * 1600, Fraction(1, 48000)
            out.mux(sound.encode(samples))
    return path


def test_dv(tmp_path: Path) -> None:
    source = dv(tmp_path / "tape.dv")
    assert probe(source).fps == Fraction(30000, 1001)
    reader, _ = copy(source, tmp_path / "out.mp4")
    new = look(tmp_path / "out.mp4", pixels=False)
    assert {round(b - a, 4) for a, b in pairwise(new.times)} == {round(Fraction(1001, 30000), 4)}
    assert len(new.times) == reader.frames_expected
    assert new.packets["audio"] and new.metadata["timecode"] == "00:00:00:00"
    copy(source, tmp_path / "cut.mp4", start=0.1)
    assert "timecode" not in look(tmp_path / "cut.mp4", pixels=False).metadata


BASES = {
    "90000": Recipe(step=3600, time_base=Fraction(1, 90000), audio=["aac"]),
    "ntsc": Recipe(step=3003, time_base=Fraction(1, 90000)),
    "microseconds": Recipe(step=40000, time_base=Fraction(1, 1_000_000)),
    "prime": Recipe(step=3001, time_base=Fraction(1, 90_001)),
    "vfr": Recipe(step=3600, pts=[0, 3600, 3601, 7200, 11000, 14400], time_base=Fraction(1, 90000)),
    "240-fps": Recipe(step=375, time_base=Fraction(1, 90000)),
    "500-fps": Recipe(step=180, time_base=Fraction(1, 90000)),
    "12-fps": Recipe(step=7500, time_base=Fraction(1, 90000)),
}


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("mpeg4", "mp4"), ("mpeg4", "mkv"), ("mpeg2video", "mkv"), ("av1", "mp4"), ("hevc", "mp4"), ("vp9", "webm")],
)
def test_a_codec_gets_a_time_base_that_it_holds(kind: str, codec: str, suffix: str, tmp_path: Path) -> None:
    source = make(tmp_path / "source.mp4", BASES[kind])
    copy(source, tmp_path / f"out.{suffix}", codec=codec, crf=None, preset="ultrafast")
    old, new = look(source, pixels=False), look(tmp_path / f"out.{suffix}", pixels=False)
    assert len(new.times) == len(old.times)
    slack = Fraction(1, 1000) if suffix == "mp4" else Fraction(2, 1000)
    if codec == "mpeg2video":  # knows eight rates, from 24 to 60 frames a second
        slack = Fraction(1, 20) if kind != "500-fps" and kind != "240-fps" else Fraction(1)
    assert max(abs(a - b) for a, b in zip(old.times, new.times, strict=True)) <= slack
