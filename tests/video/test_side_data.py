"""What lies beside the colors of a picture: transparency, fields, marks. Kept, or said to be lost."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from segnst.video.probe import probe
from segnst.video.read import open_reader
from tests.video.conftest import copy
from tests.video.make import make, picture

ENCODERS = {
    "vp9.webm": ("libvpx-vp9", "yuva420p", {"auto-alt-ref": "0", "crf": "10", "b": "0"}),
    "vp8.webm": ("libvpx", "yuva420p", {"auto-alt-ref": "0", "crf": "10", "b": "4M"}),
    "prores.mov": ("prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}),
    "ffv1.mkv": ("ffv1", "yuva420p", {}),
    "png.mov": ("png", "rgba", {}),
    "qtrle.mov": ("qtrle", "argb", {}),
}


def transparent(path: Path, kind: str) -> Path:
    """A clip whose left half is transparent, half of the rest half so."""
    encoder, form, options = ENCODERS[kind]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(encoder, rate=25, width=64, height=48, options=options)
        stream.codec_context.pix_fmt = form
        for index in range(6):
            rgba = np.dstack([picture(64, 48, index), np.full((48, 64), 255, np.uint8)])
            rgba[:, :32, 3], rgba[24:, 32:, 3] = 0, 128
            frame = av.VideoFrame.from_ndarray(rgba, "rgba").reformat(format=form)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def alpha_of(path: Path) -> np.ndarray:
    with open_reader(path) as reader:
        clips = list(reader)
    assert len(clips) == 6
    return clips[3].alpha.numpy()[0, 0]


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize(("target", "codec"), [
    ("webm", None), ("webm", "vp8"), ("mov", "prores"), ("mkv", "ffv1"), ("mkv", "vp9"), ("gif", None),
])  # fmt: skip
def test_transparency_is_kept_where_it_can_be(kind: str, target: str, codec: str | None, tmp_path: Path) -> None:
    source = transparent(tmp_path / f"source.{kind.split('.')[1]}", kind)
    assert probe(source).has_alpha
    _, writer = copy(source, tmp_path / f"out.{target}", codec=codec, crf=None)
    alpha = alpha_of(tmp_path / f"out.{target}")
    assert alpha[10, 8] < 0.05 and alpha[10, 50] > 0.95
    if target != "gif":
        assert alpha[40, 50] == pytest.approx(0.5, abs=0.05)
    assert not [warning for warning in writer.warnings if "ransparen" in warning]


@pytest.mark.parametrize(("target", "codec"), [("mp4", None), ("mkv", None), ("mov", None), ("webm", "av1")])
def test_transparency_that_is_lost_is_said(target: str, codec: str | None, tmp_path: Path) -> None:
    source = transparent(tmp_path / "source.webm", "vp9.webm")
    _, writer = copy(source, tmp_path / f"out.{target}", codec=codec, crf=None, preset="ultrafast")
    assert any("transparency" in warning and ".webm" in warning for warning in writer.warnings)
    with av.open(str(tmp_path / f"out.{target}")) as out:
        assert "alpha_mode" not in {key.lower() for key in out.streams.video[0].metadata}


def test_a_cut_keeps_transparency(tmp_path: Path) -> None:
    source = transparent(tmp_path / "source.webm", "vp9.webm")
    with open_reader(source, start=0.12) as reader:
        assert [clip.alpha is not None for clip in reader] == [True] * 3


def test_fields_are_said(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", options={"x264-params": "tff=1:interlaced=1"})
    reader, _ = copy(source, tmp_path / "out.mp4")
    assert any("interlaced" in warning and "--deinterlace" in warning for warning in reader.warnings)


@pytest.mark.parametrize(("trial", "words"), [("spherical_360.mp4", "360"), ("interlaced_tff.mp4", "interlaced")])
def test_the_trials(trial: str, words: str, shared: Path, tmp_path: Path) -> None:
    source = shared / "trials" / trial
    if not source.exists():
        pytest.skip("shared/trials is not here")
    reader, _ = copy(source, tmp_path / "out.mp4")
    assert any(words in warning for warning in reader.warnings)
