"""Live runs over real transports on loopback: order, times, sound, drops, reconnecting and ending."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from segnst.config import Settings, read_plan_file
from segnst.errors import InputError, OutputError
from segnst.jobs.events import Context, Event, Warned
from segnst.live.run import live
from segnst.live.settings import LiveSettings
from segnst.live.status import Live
from tests.jobs.every import tiny_style
from tests.live import sender
from tests.piping import piped

ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = Settings(styles=("original",), device="cpu")
# A loaded machine may be slow; what these runs show is not how fast it is.
LENIENT = LiveSettings(latency=2.0, reconnect=0)


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _sender(target: str, seconds: float, *more: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, sender.__file__, target, str(seconds), *more], **options)


def _pictures(path: Path) -> tuple[list[float], list[float]]:
    """Times and mean brightness of a file's pictures."""
    with av.open(path) as container:
        frames = [(float(f.time or 0), float(f.to_ndarray(format="gray").mean())) for f in container.decode(video=0)]
    return [time for time, _ in frames], [value for _, value in frames]


def _loud(path: Path) -> list[float]:
    """The times at which the sound becomes loud."""
    with av.open(path) as container:
        rate, parts, begins = 0, [], None
        for frame in container.decode(audio=0):
            rate = frame.sample_rate
            begins = float(frame.time or 0) if begins is None else begins
            parts.append(np.abs(frame.to_ndarray()[0]))
    samples = np.concatenate(parts)
    loud = np.convolve(samples, np.ones(64) / 64, "same") > 0.1
    starts = np.flatnonzero(loud & ~np.roll(loud, 1))
    found: list[float] = []
    for start in starts / rate + (begins or 0.0):
        if not found or start - found[-1] > 0.5:
            found.append(float(start))
    return found


def _check_film(path: Path, seconds: float, least: float = 0.5) -> None:
    """In order, at the right times, with the sound in step."""
    times, values = _pictures(path)
    assert times == sorted(times)
    assert len(times) >= least * seconds * 15
    white = [time for time, value in zip(times, values, strict=True) if value > 200]
    assert white, "the white pictures came through"
    for one, other in zip(times, values, strict=True):
        expected = round(one * 15) % 15
        if other < 200:  # the gray says which picture of its second it is
            assert abs((other - 20) / 4 - expected) < 2.5 or abs(abs((other - 20) / 4 - expected) - 15) < 2.5
    loud = _loud(path)
    assert loud
    for each in white[1:]:
        assert min(abs(each - tone) for tone in loud) < 0.1, (white, loud)


def test_a_file_runs_at_its_own_pace_into_several_outputs(tmp_path: Path) -> None:
    clip = sender.write(tmp_path / "clip.mkv", 3)
    events: list[Event] = []
    began = time.monotonic()
    report = live(
        str(clip), [str(tmp_path / name) for name in ("a.mkv", "b.mp4", "c.y4m")], ORIGINAL, LENIENT,
        context=Context(events.append),
    )  # fmt: skip
    assert time.monotonic() - began >= 2.8
    assert report.frames + report.dropped == 45
    assert "has ended" in report.ended
    for name in ("a.mkv", "b.mp4"):
        _check_film(tmp_path / name, 3)
    assert len(_pictures(tmp_path / "c.y4m")[0]) >= 40  # dropped pictures are repeated there
    said = [event for event in events if isinstance(event, Live)]
    assert len(said) >= 2
    assert said[-1].frames == report.frames
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mp4", "c.y4m", "clip.mkv"]


def test_a_stream_over_udp_comes_through_with_its_sound(tmp_path: Path) -> None:
    port = _port()
    options = replace(LENIENT, seconds=3.0, rate=15.0, reconnect=30.0)
    with _sender(f"udp://127.0.0.1:{port}?pkt_size=1316", 60) as program:
        try:
            report = live(f"udp://127.0.0.1:{port}", [str(tmp_path / "out.mkv")], ORIGINAL, options)
        finally:
            program.kill()
    assert "seconds are over" in report.ended
    times, values = _pictures(tmp_path / "out.mkv")
    assert times == sorted(times) and len(times) > 20
    white = [time for time, value in zip(times, values, strict=True) if value > 200]
    loud = _loud(tmp_path / "out.mkv")
    assert white and all(min(abs(each - tone) for tone in loud) < 0.1 for each in white[1:]), (white, loud)


def test_a_stream_over_tcp_is_styled_and_sent_on(tmp_path: Path) -> None:
    source, target = _port(), _port()
    received = tmp_path / "received.ts"
    listening = socket.create_server(("127.0.0.1", target))

    def receive() -> None:
        connection, _ = listening.accept()
        with connection, received.open("wb") as file:
            while data := connection.recv(65536):
                file.write(data)

    thread = threading.Thread(target=receive)
    thread.start()
    with _sender(f"tcp://127.0.0.1:{source}?listen=1", 3) as program:
        style = Settings(styles=(str(tiny_style(tmp_path)),), device="cpu")
        report = live(
            f"tcp://127.0.0.1:{source}", [f"tcp://127.0.0.1:{target}"], style, replace(LENIENT, reconnect=4.0)
        )
        program.wait()
    thread.join()
    listening.close()
    assert report.frames >= 2
    times, _ = _pictures(received)
    assert len(times) == report.frames
    assert _loud(received)


def test_a_source_that_ends_is_opened_again(tmp_path: Path) -> None:
    port = _port()
    address = f"tcp://127.0.0.1:{port}"
    words: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Warned):
            words.append(event.message)

    senders = [_sender(f"{address}?listen=1", 1.5)]

    def again() -> None:
        senders[0].wait()
        senders.append(_sender(f"{address}?listen=1", 1.5))

    thread = threading.Thread(target=again)
    thread.start()
    report = live(
        address, [str(tmp_path / "out.mkv")], ORIGINAL, replace(LENIENT, reconnect=8.0),
        context=Context(listen),
    )  # fmt: skip
    thread.join()
    for each in senders:
        each.wait()
    assert "did not come back within 8 s" in report.ended
    assert any("trying to open it again" in text for text in words)
    assert any("is back" in text for text in words)
    times, values = _pictures(tmp_path / "out.mkv")
    assert times == sorted(times)
    assert len(times) >= 15
    assert max(b - a for a, b in pairwise(times)) > 0.2, "the gap is kept"
    assert sum(value > 200 for value in values) >= 2


def test_a_pipe_goes_in_and_out(tmp_path: Path) -> None:
    clip = tmp_path / "clip.ts"
    sender.send(str(clip), 2, paced=False)
    with piped(clip.read_bytes()) as received:
        report = live("-", ["-"], replace(ORIGINAL, format="mpegts"), LENIENT)
    assert report.frames + report.dropped == 30
    (tmp_path / "out.ts").write_bytes(received.data)
    times, _ = _pictures(tmp_path / "out.ts")
    assert len(times) == report.frames
    assert _loud(tmp_path / "out.ts")


def test_raw_pictures_of_another_program_are_read_from_its_pipe(tmp_path: Path) -> None:
    with _sender("-", 2, "15", "yuv4mpegpipe", stdout=subprocess.PIPE) as program:
        kept = os.dup(0)
        assert program.stdout is not None
        os.dup2(program.stdout.fileno(), 0)
        try:
            report = live("-", [str(tmp_path / "out.mp4")], ORIGINAL, LENIENT)
        finally:
            os.dup2(kept, 0)
            os.close(kept)
    assert report.frames + report.dropped == 30
    assert len(_pictures(tmp_path / "out.mp4")[0]) == report.frames


def test_too_much_work_lowers_the_size_and_says_so(tmp_path: Path) -> None:
    """The bundled network is slow enough if only 20 ms are allowed for a picture."""
    clip = sender.write(tmp_path / "clip.mkv", 60)
    words: list[str] = []
    sizes: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Warned):
            words.append(event.message)
        elif isinstance(event, Live):
            sizes.append(event.size)
            if sizes[0] != event.size:
                context.cancel()

    context = Context(listen)
    style = Settings(styles=("starry_night",), device="cpu")
    report = live(str(clip), [str(tmp_path / "out.mkv")], style, LiveSettings(latency=0.02), context=context)
    assert report.ended == "cancelled"
    assert words[0].startswith("To keep pace: painted at")
    with av.open(tmp_path / "out.mkv") as container:
        size = container.streams.video[0].codec_context
        assert (size.width, size.height) == sender.SIZE, "the output keeps its size"


def test_a_plan_that_changes_on_disk_is_taken_up_and_a_broken_one_is_not(tmp_path: Path) -> None:
    style = tiny_style(tmp_path)
    plan = tmp_path / "plan.toml"
    plan.write_text('styles = ["original"]\ndevice = "cpu"\n')
    clip = sender.write(tmp_path / "clip.mkv", 30)
    words: list[str] = []
    seen: list[str] = []
    texts = iter(['styles = ["nonsense.pth"]\n', f'styles = ["{style}"]\ndevice = "cpu"\n'])
    context = Context(lambda event: listen(event))

    def listen(event: Event) -> None:
        if isinstance(event, Warned):
            words.append(event.message)
            plan.write_text(next(texts))
        elif isinstance(event, Live):
            seen.append(event.plan)
            if event.plan == "tiny":
                context.cancel()
            elif len(seen) == 1:
                plan.write_text(next(texts))

    report = live(
            str(clip), [str(tmp_path / "out.mkv")], Settings(**read_plan_file(plan)), LENIENT, plan_file=plan,
            reread=lambda: Settings(**read_plan_file(plan)), context=context,
    )  # fmt: skip
    assert report.ended == "cancelled"
    assert seen[-1] == "tiny"
    assert len(words) == 1 and "old one stays" in words[0] and "nonsense" in words[0]
    assert "original" in seen


def test_an_output_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    clip = sender.write(tmp_path / "clip.mkv", 1)
    closed = f"tcp://127.0.0.1:{_port()}"
    words: list[str] = []
    context = Context(lambda event: words.append(event.message) if isinstance(event, Warned) else None)
    report = live(str(clip), [closed, str(tmp_path / "out.mkv")], ORIGINAL, LENIENT, context=context)
    assert report.frames
    assert len(words) == 1 and closed in words[0] and "The other outputs go on" in words[0]
    assert _pictures(tmp_path / "out.mkv")[0]
    with pytest.raises(OutputError, match="cannot be written"):
        live(str(sender.write(tmp_path / "long.mkv", 30)), [closed], ORIGINAL, LENIENT)


def test_a_source_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Connection refused"):
        live(f"tcp://127.0.0.1:{_port()}", ["none"], ORIGINAL, LiveSettings(reconnect=0.0))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    sender.write(tmp_path / "clip.mkv", 120)
    with subprocess.Popen(
        [sys.executable, "-m", "segnst", "live", "clip.mkv", "-s", "original", "-o", "out.mp4", "-o", "-", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), bufsize=0,
    ) as process:  # fmt: skip
        yield process
        process.kill()


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_an_interrupt_completes_the_outputs(started: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert started.stdout is not None and started.stderr is not None
    data = b""
    while len(data) < 160 * 120 * 3 // 2 * 20:
        data += started.stdout.read(65536)
    started.send_signal(signal.SIGINT)
    rest, err = started.communicate()
    assert started.returncode == 0, err
    lines = err.decode().splitlines()
    assert '"event": "report"' in lines[-1] and '"ended": "interrupted"' in lines[-1]
    assert any('"event": "live"' in line for line in lines)
    (tmp_path / "pipe.y4m").write_bytes(data + rest)
    assert len(_pictures(tmp_path / "pipe.y4m")[0]) >= 20
    assert len(_pictures(tmp_path / "out.mp4")[0]) >= 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mkv", "out.mp4", "pipe.y4m"]
