"""The real clips: everything kept, and identity at crf 8 within 42 dB and half a code value."""

from __future__ import annotations

from pathlib import Path

import pytest

from segnst.video.probe import probe
from tests.video.table import Row, measure

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "clips"
NAMES = sorted(path.name for path in CLIPS.iterdir()) if CLIPS.is_dir() else []

pytestmark = pytest.mark.skipif(not NAMES, reason="shared/ is not here")


def check(row: Row, *, whole: bool) -> None:
    assert row.frames[0] == row.frames[1]
    assert row.same_times and row.same_end
    assert row.psnr >= 42 and row.psnr_yuv >= 42
    assert abs(row.shift) <= 0.5
    # The sound goes on to its end even where the picture was stopped.
    assert row.same_packets, row.packets
    assert whole or row.frames[1] <= 6


@pytest.mark.parametrize("name", NAMES)
def test_first_frames(name: str) -> None:
    check(measure(CLIPS / name, limit=6, preset="veryfast"), whole=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_whole_clips(name: str) -> None:
    check(measure(CLIPS / name), whole=True)


@pytest.mark.parametrize("name", NAMES)
def test_probe_says_what_is_there(name: str) -> None:
    info = probe(CLIPS / name)
    assert info.kind == "video" and info.frames and info.duration
    if "rotated" in name:
        assert info.display_matrix and info.height > info.width
    if "10bit" in name:
        assert info.bit_depth == 10
