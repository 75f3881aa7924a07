"""Input from pipes and output to them: read once, without seeking, with the sound, and in bounded memory."""

from __future__ import annotations

import os
import threading
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from segnst.errors import InputError, OutputError, UsageError
from segnst.video import pipes, stdout
from segnst.video.pace import EvenTimes
from segnst.video.paths import check_output
from segnst.video.read import open_reader
from segnst.video.write import open_writer
from tests.piping import piped
from tests.video.make import make, picture

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")


def _frames(data: bytes) -> list[np.ndarray]:
    with av.open(BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _through(data: bytes, **options: object) -> bytes:
    with (
        piped(data) as received,
        stdout.standard_output(),
        open_reader("-", pipe=True) as reader,
        open_writer("-", reader, **options) as writer,  # type: ignore[arg-type]
    ):
        for clip in reader:
            writer.write(clip)
    return received.data


@pytest.mark.parametrize(("suffix", "format"), [(".ts", "y4m"), (".mkv", "mpegts"), (".ts", "mkv"), (".y4m", "mp4")])
def test_all_frames_and_the_sound_come_through(tmp_path: Path, suffix: str, format: str) -> None:
    sound = [] if suffix == ".y4m" else ["aac"]
    raw = {"codec": "rawvideo", "step": 1, "time_base": Fraction(1001, 30000)} if suffix == ".y4m" else {}
    source = make(tmp_path / f"clip{suffix}", audio=sound, **raw)
    result = _through(source.read_bytes(), format=format, crf=8)
    before, after = _frames(source.read_bytes()), _frames(result)
    assert len(after) == len(before) == 12
    for one, other in zip(before, after, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 3
    with av.open(BytesIO(result)) as container:
        muxer = {"y4m": "yuv4mpegpipe", "mkv": "matroska", "mp4": "mov"}.get(format, format)
        assert container.format.name.startswith(muxer)
        assert len(container.streams.audio) == (1 if sound and format != "y4m" else 0)
        if format != "mpegts":  # of which FFmpeg would have to see more
            assert container.streams.video[0].average_rate == Fraction(30000, 1001)


def test_a_named_pipe_is_read_and_a_still_as_well(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    source = make(tmp_path / "clip.ts")
    writer = threading.Thread(target=lambda: fifo.write_bytes(source.read_bytes()))
    writer.start()
    with open_reader(fifo, pipe=True) as reader:
        assert sum(len(clip) for clip in reader) == 12
    writer.join()
    import cv2

    ok, png = cv2.imencode(".png", picture(20, 10, 0))
    assert ok
    with piped(png.tobytes()), open_reader("-", pipe=True) as reader:
        (clip,) = reader
        assert clip.rgb.shape == (1, 3, 10, 20)


def test_a_range_is_cut_out_without_seeking(tmp_path: Path) -> None:
    source = make(tmp_path / "clip.mkv", frames=20, audio=["aac"])
    with piped(source.read_bytes()), open_reader("-", start=0.2, end=0.5, pipe=True) as reader:
        times = [float(clip.pts[0] * clip.time_base) for clip in reader]
    assert len(times) == 9
    assert min(times) >= 0.2 and max(times) < 0.5


def test_memory_stays_bounded_although_the_sound_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "clip.nut", frames=240, size=(320, 240), codec="ffv1", audio=["aac"], options={})
    assert source.stat().st_size > 3_000_000
    most = 0
    keep = pipes.Tape._keep

    def watch(self: pipes.Tape, data: bytes) -> None:
        nonlocal most
        keep(self, data)
        most = max(most, self._ends - self._begins)

    monkeypatch.setattr(pipes.Tape, "_keep", watch)
    made = _through(source.read_bytes(), format="mkv", codec="ffv1")
    assert len(_frames(made)) == 240
    # What is probed before the first frame, and not all that came.
    assert most < 1_000_000


def test_what_needs_the_stream_again_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make(tmp_path / "clip.ts").read_bytes()
    with piped(data), open_reader("-", pipe=True) as reader:
        pipes.release(Path("-"))
        assert sum(len(clip) for clip in reader) == 12
        with pytest.raises(InputError, match="only once"):
            list(reader)
    monkeypatch.setattr(pipes, "MOST", 1000)
    with piped(data), pytest.raises(InputError, match="write it to a file"):
        open_reader("-", pipe=True)


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "ended before"), (b"no video" * 99, "neither a video"), (b"RIFF", "neither a video")]
)
def test_a_pipe_without_a_video_is_said(data: bytes, words: str) -> None:
    with piped(data), pytest.raises(InputError, match=words):
        open_reader("-", pipe=True)
    assert pipes.tape_of(Path("-")) is None


def test_a_pipe_is_refused_where_it_was_not_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Standard input cannot be read here"):
        open_reader("-")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe or a device"):
        open_reader(tmp_path / "pipe")


def test_a_reader_that_stops_early_does_not_wait_for_the_pipe(tmp_path: Path) -> None:
    data = make(tmp_path / "clip.ts", frames=200).read_bytes()
    over = threading.Event()
    with piped(data, over), open_reader("-", pipe=True) as reader:
        assert next(iter(reader)).rgb.shape[0] == 1
        reader.close()
        assert not over.is_set()
        over.set()


def test_standard_output_is_taken_only_where_it_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="standard output"):
        check_output("-", None)
    assert check_output("-", None, stdout=True) == Path("-")
    source = make(tmp_path / "clip.mp4")
    with open_reader(source) as reader, pytest.raises(UsageError, match="--format is for"):
        open_writer(tmp_path / "out.mkv", reader, format="mkv")
    with open_reader(source) as reader, pytest.raises(UsageError, match=r"no format 'mpegs'.*mpegts"):
        open_writer("-", reader, format="mpegs")


def test_uneven_times_are_evened_out_for_a_format_without_times() -> None:
    even = EvenTimes(Fraction(10))
    tenth = Fraction(1, 10)
    assert even.times(Fraction(0), tenth) == [0]
    assert even.times(tenth, 3 * tenth) == [tenth, 2 * tenth, 3 * tenth]
    assert even.times(4 * tenth, tenth / 4) == []
    assert even.times(4 * tenth + tenth / 4, tenth) == [4 * tenth]
    assert (even.repeated, even.dropped) == (2, 1)


def test_a_y4m_file_is_an_output_like_others(tmp_path: Path) -> None:
    source = make(tmp_path / "clip.mp4", pts=[0, 1001, 2002, 6006, 7007], frames=5, audio=["aac"], last_duration=1001)
    with (
        open_reader(source) as reader,
        open_writer(tmp_path / "out.y4m", reader) as writer,
    ):
        for clip in reader:
            writer.write(clip)
    assert len(_frames((tmp_path / "out.y4m").read_bytes())) == 8
    assert any("no sound" in warning for warning in writer.warnings)
    assert any("repeated" in warning for warning in writer.warnings)
