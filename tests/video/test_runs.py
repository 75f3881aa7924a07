"""How a run goes: ranges, damage, interruption, threads, memory."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from segnst.types import Clip
from segnst.video.read import open_reader
from segnst.video.write import open_writer
from tests.video.conftest import copy
from tests.video.make import QUARTER_TURN, look, make, psnr


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 30000/1001 with key frames every 15, B-frames, two tracks and subtitles."""
    return make(
        tmp_path_factory.mktemp("long") / "long.mp4", frames=60, audio=["aac", "aac"], subtitles=["mov_text"],
        chapters=True, options={"crf": "12", "preset": "fast", "g": "15", "bf": "3"},
    )  # fmt: skip


def pts_of(path: Path, **options: object) -> list[int]:
    with open_reader(path, **options) as reader:  # type: ignore[arg-type]
        return [clip.pts[0] for clip in reader]


@pytest.mark.parametrize(("start", "end"), [(None, 1.0), (0.7, None), (0.5, 1.5), (0, 0.5), (1.0343, 1.2), (1.9, 5)])
def test_range_is_half_open_and_exact(start, end, long: Path) -> None:
    whole = pts_of(long)
    first, last = Fraction(str(start or 0)), Fraction(str(end)) if end is not None else Fraction(99)
    assert pts_of(long, start=start, end=end) == [p for p in whole if first <= Fraction(p, 30000) < last]


def test_cut_frames_are_the_same_pictures(long: Path) -> None:
    with open_reader(long) as reader:
        whole = {clip.pts[0]: clip.rgb for clip in reader}
    with open_reader(long, start=0.8, end=1.3, threaded=False) as reader:
        for clip in reader:
            assert torch.equal(clip.rgb, whole[clip.pts[0]])
        assert reader.frames_expected == 15


def test_cut_clip_begins_at_zero_with_its_sound(long: Path, tmp_path: Path) -> None:
    copy(long, tmp_path / "out.mp4", start=0.5, end=1.5)
    old, new = look(long), look(tmp_path / "out.mp4")
    kept = [t for t in old.times if Fraction(1, 2) <= t < Fraction(3, 2)]
    assert new.times == [t - kept[0] for t in kept]
    for before, after in zip(old.packets["audio"], new.packets["audio"], strict=True):
        wanted = [p[2] for p in before if p[0] + p[1] > kept[0] and p[0] < Fraction(3, 2)]
        assert [p[2] for p in after] == wanted
        shift = next(p[0] for p in before if p[2] == wanted[0]) - kept[0]
        assert abs(after[0][0] - shift) <= Fraction(1, 48000)
    assert psnr(old.rgb[old.times.index(kept[3])], new.rgb[3]) > 42


def test_cut_to_webm_re_encodes_just_the_range(long: Path, tmp_path: Path) -> None:
    copy(long, tmp_path / "out.webm", start=0.5, end=1.0)
    new = look(tmp_path / "out.webm")
    last = new.packets["audio"][0][-1]
    assert abs(float(last[0] + last[1]) - 0.5) < 0.03
    assert new.times[0] == 0


def test_start_before_a_late_first_frame_keeps_the_delay(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", pts=[15000 + 1001 * n for n in range(10)], audio=["aac"])
    copy(source, tmp_path / "out.mp4", start=0.25)
    assert look(tmp_path / "out.mp4").times[0] == Fraction(1, 4)


def test_transport_stream(tmp_path: Path) -> None:
    source = make(tmp_path / "in.ts", frames=20, time_base=Fraction(1, 90000), step=3003)
    old = look(source)
    assert old.times[0] > 0  # it counts from anywhere
    copy(source, tmp_path / "out.mp4")
    new = look(tmp_path / "out.mp4")
    assert new.times == [t - old.times[0] for t in old.times]


def test_damaged_in_the_middle(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mkv", frames=60, size=(128, 96), options={"crf": "10", "g": "10", "bf": "0"})
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data)
    reader, writer = copy(broken, tmp_path / "out.mp4")
    assert 20 < writer.frames_written <= 60
    assert reader.frames_damaged > 0
    assert str(reader.frames_damaged) in reader.warnings[0] and "could be decoded were kept" in reader.warnings[0]
    assert len(look(tmp_path / "out.mp4").times) == writer.frames_written


def test_cut_off_mp4(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", frames=60, size=(128, 96))
    data = source.read_bytes()
    moov = data.index(b"moov") - 4
    # The index in front, then half of the frames: as a broken download leaves it.
    import av

    with (
        av.open(str(source)) as one,
        av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "faststart"}) as two,
    ):
        stream = two.add_stream_from_template(one.streams.video[0], opaque=True)
        for packet in one.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                two.mux(packet)
    data = (tmp_path / "fast.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat") and moov
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2])
    reader, writer = copy(tmp_path / "cut.mp4", tmp_path / "out.mp4")
    assert 0 < writer.frames_written < 60
    assert reader.frames_damaged >= 60 - writer.frames_written
    assert "damaged or missing" in reader.warnings[0]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("threaded", [True, False])
@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "frames"])
def test_an_exception_leaves_nothing_behind(error, threaded: bool, name: str, long: Path, tmp_path: Path) -> None:
    before = threading.active_count()
    with (
        pytest.raises(error),
        open_reader(long, threaded=threaded) as reader,
        open_writer(tmp_path / name, reader, threaded=threaded) as writer,
    ):
        for number, clip in enumerate(reader):
            writer.write(clip)
            assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
            if number == 20:
                raise error
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == before


def test_overwrite(long: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    with pytest.raises(RuntimeError), open_reader(long) as r, open_writer(tmp_path / "out.mp4", r, overwrite=True) as w:
        w.write(next(iter(r)))
        raise RuntimeError
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    copy(long, tmp_path / "out.mp4", overwrite=True)
    assert len(look(tmp_path / "out.mp4", pixels=False).times) == 60
    for _ in range(2):
        copy(long, tmp_path / "frames", overwrite=True, end=0.1)
        assert [p.name for p in sorted((tmp_path / "frames").iterdir())] == [f"frame_{n:06d}.png" for n in (1, 2, 3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "out.mp4"]


def test_an_error_in_the_encoder_reaches_the_caller(long: Path, tmp_path: Path) -> None:
    from segnst.video.encode import VideoSink

    calls = []

    def fail(self: VideoSink, rgb: torch.Tensor, pts: int, duration: int) -> None:
        calls.append(pts)
        raise ZeroDivisionError("deep down")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VideoSink, "write", fail)
        began = time.monotonic()
        with pytest.raises(ZeroDivisionError, match="deep down"):
            copy(long, tmp_path / "out.mp4")
    assert time.monotonic() - began < 5 and len(calls) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_decoder_reaches_the_caller(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segnst.video import color

    def fail(self: object, *args: object) -> None:
        raise ZeroDivisionError("deep down")

    monkeypatch.setattr(color.ToRGB, "__call__", fail)
    with pytest.raises(ZeroDivisionError, match="deep down"):
        copy(long, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_leaving_a_reader_early_stops_its_thread(long: Path) -> None:
    before = threading.active_count()
    with open_reader(long) as reader:
        next(iter(reader))
    assert threading.active_count() == before
    with open_reader(long) as reader:  # and it can be iterated again
        assert sum(1 for _ in reader) == sum(1 for _ in reader) == 60


def test_the_reader_does_not_run_ahead(long: Path) -> None:
    made = []
    with open_reader(long) as reader:
        clips = iter(reader)
        real = reader._durations.__class__.__setitem__
        next(clips)
        time.sleep(0.5)
        made.append(len(reader._durations))
        assert real
    assert made[0] <= 6


def test_writer_takes_batches_other_types_and_time_bases(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", frames=8)
    with open_reader(source) as reader:
        clips = list(reader)
    rgb = torch.cat([clip.rgb for clip in clips]).half()
    with open_reader(source) as reader, open_writer(tmp_path / "out.mp4", reader, crf=8) as writer:
        writer.write(Clip(rgb[:5], tuple(2 * c.pts[0] for c in clips[:5]), Fraction(1, 60000)))
        writer.write(Clip(rgb[5:], tuple(c.pts[0] for c in clips[5:]), Fraction(1, 30000)))
    assert writer.frames_written == 8
    assert look(tmp_path / "out.mp4").times == look(source).times


def test_wrong_sizes_and_times_are_refused(tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", frames=3)
    with (
        pytest.raises(ValueError, match="must be 64x48"),
        open_reader(source) as r,
        open_writer(tmp_path / "a.mp4", r) as w,
    ):
        w.write(Clip(torch.zeros(1, 3, 10, 10), (0,), Fraction(1, 30000)))
    with (
        pytest.raises(ValueError, match="must increase"),
        open_reader(source) as r,
        open_writer(tmp_path / "a.mp4", r) as w,
    ):
        for _ in range(9):
            w.write(Clip(torch.zeros(1, 3, 48, 64), (5,), Fraction(1, 30000)))
            time.sleep(0.02)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_pixels_left_alone_keep_their_code_values(tmp_path: Path) -> None:
    """Half the picture is changed: the other half must not notice (ffv1 adds no loss of its own)."""
    source = make(tmp_path / "in.mkv", frames=4, codec="ffv1", matrix=QUARTER_TURN)
    with open_reader(source) as reader, open_writer(tmp_path / "out.mkv", reader, codec="ffv1") as writer:
        for clip in reader:
            rgb = clip.rgb.clone()
            rgb[..., :20, :] = 1 - rgb[..., :20, :]
            writer.write(Clip(rgb, clip.pts, clip.time_base))
    import av

    for a, b in zip(
        av.open(str(source)).decode(video=0), av.open(str(tmp_path / "out.mkv")).decode(video=0), strict=True
    ):
        for index, cut in ((0, 20), (1, 11), (2, 11)):
            width = a.planes[index].width
            one, two = (
                np.frombuffer(f.planes[index], np.uint8).reshape(-1, f.planes[index].line_size)[:, :width]
                for f in (a, b)
            )
            assert np.array_equal(one[:, cut:], two[:, cut:])
            assert not np.array_equal(one[:, :cut], two[:, :cut])


def test_hdr_mastering_data_is_missed_aloud(tmp_path: Path) -> None:
    master = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    clip = make(
        tmp_path / "hdr.mp4", codec="libx265", pixel_format="yuv420p10le", frames=3,
        options={"preset": "ultrafast", "x265-params": f"log-level=none:master-display={master}:max-cll=1000,400"},
    )  # fmt: skip
    with open_reader(clip) as reader:
        list(reader)
        assert any("HDR mastering data" in warning for warning in reader.warnings)
