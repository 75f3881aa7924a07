"""Time stamps that restart, wrap, go backwards or are missing, and rates that headers get wrong."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from segnst.video.probe import probe
from segnst.video.read import open_reader
from segnst.video.times import Clock, Parts
from tests.video.conftest import copy
from tests.video.make import Recipe, look, make

STEP = Fraction(1, 25)
RECIPE = Recipe(
    step=3600, time_base=Fraction(1, 90000), frames=20, audio=["aac"], options={"preset": "fast", "g": "10"}
)


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("ts") / "one.ts", RECIPE)


def remux(source: Path, target: Path, change, form: str | None = None, **options: str) -> Path:
    """Copy the packets of ``source``; ``change`` edits each, in order."""
    with av.open(str(source)) as old, av.open(str(target), "w", format=form, container_options=options) as new:
        lanes = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams}
        for packet in old.demux():
            if packet.size:
                packet.stream = lanes[packet.stream_index]
                change(packet)
                new.mux(packet)
    return target


def moved(source: Path, target: Path, seconds: float) -> Path:
    """The same transport stream with all times later."""

    def later(packet: av.Packet) -> None:
        shift = round(seconds / packet.time_base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift

    return remux(source, target, later, muxdelay="0", avoid_negative_ts="disabled")


def joined(target: Path, *parts: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def steps(times: list[Fraction]) -> set[Fraction]:
    return {round(b - a, 3) for a, b in pairwise(times)}


def sound_span(path: Path) -> tuple[float, float]:
    (track,) = look(path, pixels=False).packets["audio"]
    return float(track[0][0]), float(track[-1][0] + track[-1][1])


@pytest.mark.parametrize("gap", [0, -3600, 20, 7200], ids=["restart", "back", "ahead", "far-ahead"])
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_of_a_recording_follow_each_other(gap: float, parts: int, stream: Path, tmp_path: Path) -> None:
    first = moved(stream, tmp_path / "0.ts", 4000)
    rest = [moved(stream, tmp_path / f"{n}.ts", 4000 + n * gap) for n in range(1, parts)]
    source = joined(tmp_path / "joined.ts", first, *rest)
    reader, writer = copy(source, tmp_path / "out.mp4")
    new = look(tmp_path / "out.mp4", pixels=False)
    assert writer.frames_written == len(new.times) == 20 * parts == reader.frames_expected
    assert steps(new.times) == {STEP}
    begins, ends = sound_span(tmp_path / "out.mp4")
    assert abs(begins) < 0.1 and abs(ends - float(new.times[-1] + STEP)) < 0.1
    (track,) = new.packets["audio"]
    assert max(b[0] - a[0] for a, b in pairwise(track)) < 0.1
    assert any(f"{parts} parts" in warning for warning in reader.warnings)
    assert probe(source).counted.frames == 20 * parts


def test_the_sound_of_each_part_is_in_step(stream: Path, tmp_path: Path) -> None:
    """In each part the sound lies to the picture as it did in the source."""
    source = joined(tmp_path / "joined.ts", stream, stream)
    copy(source, tmp_path / "out.mkv")
    old, new = look(stream, pixels=False), look(tmp_path / "out.mkv", pixels=False)
    payload = old.packets["audio"][0][10]
    lag = float(payload[0] - old.times[0])
    found = [float(p[0]) for p in new.packets["audio"][0] if p[2] == payload[2][7:]]  # without ADTS
    assert found == pytest.approx([float(new.times[0]) + lag, float(new.times[20]) + lag], abs=0.002)


@pytest.mark.parametrize(("start", "end", "frames"), [(0.2, 0.6, 10), (0.9, 1.3, 10), (1.0, None, 15)])
def test_a_cut_from_joined_parts(start: float, end: float | None, frames: int, stream: Path, tmp_path: Path) -> None:
    source = joined(tmp_path / "joined.ts", stream, stream)
    offset = float(probe(source).first_pts / Fraction(90000) - probe(source).origin)
    with open_reader(source, start=start + offset, end=None if end is None else end + offset) as reader:
        picked = [clip.rgb for clip in reader]
    with open_reader(stream) as reader:
        whole = [clip.rgb for clip in reader] * 2
    first = math.ceil(start * 25)
    assert len(picked) == frames
    errors = [float((a - b).abs().mean()) for a, b in zip(picked, whole[first : first + frames], strict=True)]
    assert max(errors) < 0.01, errors


def test_a_counter_that_runs_over(stream: Path, tmp_path: Path) -> None:
    """The 33 bits of a transport stream end after 26.5 hours, here in the middle of the clip."""
    over = 2**33 / 90000
    source = moved(stream, tmp_path / "wrap.ts", over - 1.8)
    copy(source, tmp_path / "out.mp4")
    new = look(tmp_path / "out.mp4", pixels=False)
    assert len(new.times) == 20 and 0 <= new.times[0] < Fraction(1, 10) and steps(new.times) == {STEP}


def test_b_frames_whose_times_are_those_of_decoding(tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.mp4", step=512, time_base=Fraction(1, 12800), frames=25, options={"bf": "3"})

    def no_order(packet: av.Packet) -> None:
        packet.pts = packet.dts

    for suffix in ("mp4", "mkv"):
        source = remux(plain, tmp_path / f"source.{suffix}", no_order)
        reader, writer = copy(source, tmp_path / f"out.{suffix}.mp4")
        new = look(tmp_path / f"out.{suffix}.mp4", pixels=False)
        assert len(new.times) == writer.frames_written
        gaps = sorted(b - a for a, b in pairwise(new.times))
        assert gaps[0] >= STEP - Fraction(1, 500)
        assert reader.warnings == []


@pytest.mark.parametrize("bf", ["1", "2", "3"])
def test_b_frames_in_avi(bf: str, tmp_path: Path) -> None:
    """AVI has no presentation times at all."""
    source = make(tmp_path / "source.avi", step=1, time_base=STEP, frames=25, options={"bf": bf})
    reader, _ = copy(source, tmp_path / "out.mp4")
    times = look(tmp_path / "out.mp4", pixels=False).times
    assert len(times) == 25 and steps(times) == {STEP} and reader.warnings == []
    with open_reader(source, start=0.4, end=0.8) as cut:
        assert len(list(cut)) == 10


def test_the_clock_is_ffmpegs_and_strictly_increasing() -> None:
    def run(stamps, **options):
        clock: Clock[int] = Clock(40, **options)
        out = [pair for n, stamp in enumerate(stamps) for pair in clock.put(n, *stamp)] + list(clock.rest())
        assert [n for n, _ in out] == list(range(len(stamps)))
        return [time for _, time in out]

    assert run([(0, 0), (40, 40), (80, 80)]) == [0, 40, 80]
    assert run([(0, None), (40, None), (40, None), (80, None)]) == [0, 40, 60, 80]
    assert run([(0, None), (None, None), (None, None), (400, None)]) == [0, 40, 80, 400]
    assert run([(None, None), (None, None), (100, None)]) == [20, 60, 100]
    assert run([(None, None)] * 40) == [n * 40 for n in range(40)]
    assert run([(5, None)] * 3) == [5, 45, 85]
    assert run([(n * 40, None) for n in range(50)] + [(n * 40, None) for n in range(50)], restarts=680) == [
        n * 40 for n in range(100)
    ]
    # Decoding times take over once presentation times have gone wrong more often.
    assert run([(0, 0), (80, 40), (40, 80), (120, 120), (160, 160)])[3:] == [120, 160]


def test_a_late_packet_of_the_part_before_stays_there() -> None:
    class Stream:
        def __init__(self, kind: str) -> None:
            self.type = kind

    class Packet:
        duration, time_base = 40, Fraction(1, 1000)

        def __init__(self, index: int, dts: int) -> None:
            self.stream_index, self.dts, self.pts = index, dts, dts
            self.stream = Stream("video" if index == 0 else "audio")

    finder = Parts()
    order = [(0, 1000), (1, 1000), (0, 1500), (0, 1000), (1, 1500), (1, 1000), (0, 1040), (0, 90_000), (1, 90_000)]
    assert [finder.of(Packet(*each)) for each in order] == [0, 0, 0, 1, 0, 1, 1, 2, 2]  # type: ignore[arg-type]
