"""``-`` on the command line: standard input, standard output, or a refusal in words; never a folder of that name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest
import typer.main

from segnst.cli.app import app
from tests.conftest import Run
from tests.piping import piped
from tests.video.make import make

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")


def _takers(group: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The commands that have ``-o``."""
    found = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            found += _takers(command, (*path, name))
        elif any("-o" in parameter.opts for parameter in command.params):
            found.append((*path, name))
    return found


ARGUMENTS = {
    ("optimize",): ["clip.mp4", "clip.mp4"],
    ("reconstruct",): ["content", "clip.mp4", "--layer", "relu1_1"],
    ("inspect",): ["clip.mp4"],
    ("compare",): ["clip.mp4", "--painting", "clip.mp4"],
    ("segment",): ["clip.mp4"],
    ("evaluate", "masks"): ["clip.mp4", "clip.mp4"],
}
WRITES_TO_STDOUT = {("style",), ("live",)}


@pytest.mark.parametrize("command", sorted(set(_takers(typer.main.get_command(app))) - WRITES_TO_STDOUT))
def test_a_dash_is_refused_by_name_where_it_cannot_be_standard_output(
    run: Run, command: tuple[str, ...], tmp_path: Path
) -> None:
    before = set(tmp_path.iterdir())
    code, out, err = run(*command, *ARGUMENTS.get(command, []), "-o", "-")
    assert code == 2
    assert "-o - means standard output" in err
    assert out == ""
    assert set(tmp_path.iterdir()) == before


def test_other_outputs_of_a_run_are_no_standard_output_either(run: Run, tmp_path: Path) -> None:
    make(tmp_path / "clip.mp4")
    code, _, err = run("style", "clip.mp4", "-s", "original", "-o", "out.mp4", "--sheet", "-")
    assert (code, "standard output" in err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_run_from_a_pipe_has_a_name_of_its_own(run: Run, tmp_path: Path) -> None:
    data = make(tmp_path / "clip.ts").read_bytes()
    with piped(data):
        code, out, _ = run("style", "-", "-s", "original")
    assert (code, out.strip()) == (0, "results/stdin_original.mp4")


def test_only_the_video_comes_out_of_standard_output(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mkv", audio=["aac"])
    with clip.open("rb") as given:
        done = subprocess.run(
            [sys.executable, "-m", "segnst", "style", "-", "-s", "original", "-o", "-", "--format", "mkv", "--json"],
            stdin=given, capture_output=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tmp_path / "out.mkv").write_bytes(done.stdout)
    with av.open(tmp_path / "out.mkv") as container:
        assert len(list(container.decode(video=0))) == 12
        assert len(container.streams.audio) == 1
    assert b'"frames": 12' in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mkv", "out.mkv"]


def test_an_interrupt_is_heard_while_a_pipe_is_waited_for(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "segnst", "style", "-", "-s", "original", "-o", "out.mp4"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(make(tmp_path / "clip.ts").read_bytes())
    process.stdin.flush()
    # The pipe of a process that reads it becomes empty.
    while _waiting(process.stdin.fileno()):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err and b"interrupted; nothing was left behind" in err
    assert [path.name for path in tmp_path.iterdir()] == ["clip.ts"]


def _waiting(pipe: int) -> int:
    import fcntl
    import struct
    import termios

    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0])
