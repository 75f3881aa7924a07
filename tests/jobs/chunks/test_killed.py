"""The real command, ended in the midst of its frames by Ctrl-C and by SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from segnst.jobs.chunks.listing import look_at
from segnst.jobs.chunks.place import journal_path
from tests.clips import panning, write_clip
from tests.conftest import Run
from tests.jobs.chunks.make import frames_of, start
from tests.jobs.every import tiny_style

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def until(run: subprocess.Popen[str], journal: Path, frames: int) -> None:
    """Wait until so many frames are in the journal."""
    while not journal.is_dir() or look_at(journal).frames < frames:
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.01)


def test_a_run_that_is_stopped_and_killed_gives_the_frames_of_an_unbroken_one(tmp_path: Path, run: Run) -> None:
    tiny_style(tmp_path)
    write_clip(tmp_path / "c.mp4", panning(25).repeat(8, 1, 1, 1))
    journal = journal_path(tmp_path / "o.mp4")

    def command(output: str) -> subprocess.Popen[str]:
        options = ["-s", "tiny.safetensors", "--device", "cpu", "--resume", "--chunk", "8"]
        return start(tmp_path, "style", "c.mp4", "-o", output, *options)

    stopped = command("o.mp4")
    until(stopped, journal, 16)
    assert "working on the journal" in run("jobs", "remove", "o.mp4")[2]
    stopped.send_signal(signal.SIGINT)
    _, said = stopped.communicate()
    assert stopped.returncode == 130
    assert journal.name in said and "--resume goes on" in said
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == [journal.name]
    assert [p.name for p in journal.iterdir() if p.name.startswith(".")] == []

    frames = look_at(journal).frames
    killed = command("o.mp4")
    until(killed, journal, frames + 16)
    killed.kill()
    killed.communicate()
    assert frames + 16 <= look_at(journal).frames < 200
    assert not (tmp_path / "o.mp4").exists()
    code, out, _ = run("jobs", "list", tmp_path)
    assert code == 0 and "o.mp4" in out and "can be resumed" in out

    for output in ("o.mp4", "unbroken.mp4"):
        last = command(output)
        _, said = last.communicate()
        assert last.returncode == 0, said
    assert frames_of(tmp_path / "o.mp4") == frames_of(tmp_path / "unbroken.mp4")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_command_shows_and_removes_journals(tmp_path: Path, run: Run) -> None:
    write_clip(tmp_path / "c.mp4", panning(10))
    style = tiny_style(tmp_path)
    code, _, said = run("style", "c.mp4", "-s", style, "-o", "o.mp4", "--resume", "--chunk", "0")
    assert code == 2 and "--chunk" in said
    code, _, said = run("style", "c.mp4", "-s", style, "-o", "o.mp4", "--work", "x")
    assert code == 2 and "add --resume" in said
    assert run("jobs", "list")[1] == "There are no journals here.\n"
    journal = journal_path(tmp_path / "o.mp4")
    journal.mkdir()
    (journal / "job.json").write_text("{}")
    assert "damaged" in run("jobs", "list")[1]
    assert run("jobs", "show", "o.mp4", "--json")[0] == 0
    assert run("jobs", "remove", journal)[1] == f"removed {journal}\n"
    assert not journal.exists()
    code, _, said = run("jobs", "show", "o.mp4")
    assert code == 1 and "There is no journal" in said
