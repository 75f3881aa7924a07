"""``segnst live``: what cannot work is said before anything is opened or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Run
from tests.live import sender
from tests.video.make import make


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nothing", "-s", "original", "-o", "none"], 1, "no file, camera or stream nothing"),
        (["utp://127.0.0.1:9", "-s", "original", "-o", "none"], 1, "Did you mean 'udp'"),
        (["file:///etc/passwd", "-s", "original", "-o", "none"], 1, "no stream that can be received"),
        (["clip.mp4", "-s", "original"], 1, "no display for a window"),
        (["clip.mp4", "-s", "original", "-o", "windw"], 1, "Did you mean 'window'"),
        (["clip.mp4", "-s", "original", "-o", "udpp://1"], 1, "Did you mean 'udp'"),
        (["clip.mp4", "-s", "original", "-o", "clip.mp4"], 1, "is the input"),
        (["clip.mp4", "-s", "original", "-o", "none", "-o", "none"], 2, "named twice"),
        (["clip.mp4", "-s", "original", "-o", "x.mp4", "--format", "mkv"], 2, "--format is for -o -"),
        (["clip.mp4", "-s", "original", "-o", "none", "--latency", "0"], 2, "--latency"),
        (["clip.mp4", "-o", "none"], 2, "No style was given"),
        (["clip.mp4", "-s", "no_such_style", "-o", "none"], 2, "no_such_style"),
        (["clip.mp4", "--plan", "box.toml", "-o", "none"], 2, "--box needs a file"),
        (["sound.mp4", "-s", "original", "-o", "none"], 1, "no pictures"),
        (["text.mp4", "-s", "original", "-o", "none"], 1, "text.mp4"),
        (["/dev/video99", "-s", "original", "-o", "none"], 1, "no file, camera or stream"),
        ([".", "-s", "original", "-o", "none"], 1, "is a folder"),
    ],
)
def test_what_cannot_work_is_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    make(tmp_path / "clip.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "box.toml").write_text('styles = ["object=original"]\nbox = ["1,1,9,9"]\n')
    import av
    import numpy as np

    with av.open(str(tmp_path / "sound.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=48000, layout="mono")
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        piece.sample_rate, piece.pts = 48000, 0
        out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    before = set(tmp_path.iterdir())
    got, out_text, err = run("live", *arguments)
    assert (got, out_text) == (code, ""), err
    assert words in err
    assert "Traceback" not in err
    assert set(tmp_path.iterdir()) == before


def test_a_run_says_how_it_went(run: Run, tmp_path: Path) -> None:
    sender.write(tmp_path / "clip.mkv", 1)
    code, out, err = run("live", "clip.mkv", "-s", "original", "-o", "out.mkv", "--latency", "2")
    assert (code, out) == (0, "")
    assert "frames/s" in err and "clip.mkv has ended" in err
    assert (tmp_path / "out.mkv").is_file()
