"""Signals to the real command: what is left behind, what becomes of the old output, what is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from segnst.style.transformer import TransformerNetwork
from segnst.weights import write_tensors
from tests.clips import panning, write_clip

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that takes some seconds, a short one, and a tiny style."""
    folder = tmp_path_factory.mktemp("material")
    write_clip(folder / "long.mp4", panning(25).repeat(60, 1, 1, 1), sound=False)
    write_clip(folder / "short.mp4", panning(3))
    torch.manual_seed(0)
    write_tensors(folder / "tiny.safetensors", TransformerNetwork(4, 1).state_dict(), {"format": "segnst-johnson"})
    return folder


def _heed() -> None:
    """In the child: a shell may have started the tests in the background, where Ctrl-C is ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "segnst", *map(str, arguments)],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, preexec_fn=_heed,
    )  # fmt: skip


def _style(material: Path, clip: str, output: str) -> list[str | Path]:
    return ["style", material / clip, "-s", material / "tiny.safetensors", "-o", output, "--overwrite"]


def _hidden(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.name.startswith(".")]


def _at_work(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until the command has begun to write."""
    while not _hidden(folder):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    time.sleep(0.2)  # in the midst of the frames


def _old(folder: Path, output: str) -> Iterator[tuple[Path, bytes]]:
    path = folder / output
    if not path.suffix:
        path.mkdir()
        path = path / "frame_000001.png"
    path.write_bytes(b"old")
    yield path, b"old"


SENT = [
    *((signal.SIGINT, times, "o.mp4") for times in range(1, 6)),
    (signal.SIGTERM, 1, "o.mp4"),
    (signal.SIGHUP, 1, "o.mp4"),
    (signal.SIGINT, 5, "o.gif"),
    (signal.SIGINT, 5, "frames"),
]


@pytest.mark.parametrize(("number", "times", "output"), SENT, ids=lambda v: getattr(v, "name", str(v)))
def test_a_signal_ends_the_command_and_leaves_nothing(
    material: Path, tmp_path: Path, number: signal.Signals, times: int, output: str
) -> None:
    ((old, content),) = _old(tmp_path, output)
    before = sorted(tmp_path.rglob("*"))
    process = _start(tmp_path, *_style(material, "long.mp4", output))
    _at_work(process, tmp_path)
    for _ in range(times):
        if process.poll() is None:
            process.send_signal(number)
            time.sleep(0.05)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err == "segnst: interrupted; nothing was left behind.\n"
    assert sorted(tmp_path.rglob("*")) == before
    assert old.read_bytes() == content


@pytest.mark.parametrize("wait", [0.3, 0.6, 1.5])
def test_a_signal_while_the_command_loads_is_told_in_the_same_words(
    material: Path, tmp_path: Path, wait: float
) -> None:
    process = _start(tmp_path, *_style(material, "long.mp4", "o.mp4"))
    time.sleep(wait)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert not list(tmp_path.iterdir())
    assert str(ROOT / "segnst" / "cli") not in err, "a traceback in Python's own beginning cannot be helped"


@pytest.mark.parametrize("output", ["o.mp4", "frames"])
def test_what_a_killed_command_left_is_removed_by_the_next(material: Path, tmp_path: Path, output: str) -> None:
    ((old, content),) = _old(tmp_path, output)
    process = _start(tmp_path, *_style(material, "long.mp4", output))
    _at_work(process, tmp_path)
    process.kill()
    process.communicate()
    assert len(_hidden(tmp_path)) == 1
    assert old.read_bytes() == content
    mine = tmp_path / ".notes.segnst-mine.txt"
    mine.write_text("mine")
    process = _start(tmp_path, *_style(material, "short.mp4", output))
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert _hidden(tmp_path) == [mine]


def test_what_a_living_command_writes_is_left_alone(material: Path, tmp_path: Path) -> None:
    first = _start(tmp_path, *_style(material, "long.mp4", "a.mp4"))
    _at_work(first, tmp_path)
    living = _hidden(tmp_path)
    second = _start(tmp_path, *_style(material, "short.mp4", "b.mp4"))
    _, err = second.communicate()
    assert second.returncode == 0, err
    assert _hidden(tmp_path) == living
    first.terminate()
    first.communicate()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.mp4"]


def test_a_command_that_does_not_come_back_is_ended_by_a_second_signal(tmp_path: Path) -> None:
    code = (
        "import sys, time, threading; from pathlib import Path\n"
        "from segnst import temporaries; from segnst.cli import app\n"
        "def stuck(*_, **__):\n"
        "    temporaries.create(Path('x.mp4')); temporaries.create(Path('frames'), folder=True)\n"
        "    while True:\n"
        "        try:\n"
        "            time.sleep(100)\n"
        "        except KeyboardInterrupt:\n"
        "            pass\n"
        "app.app = stuck; app.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path, text=True, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=_heed,
    )  # fmt: skip
    while len(_hidden(tmp_path)) < 2:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    _, err = process.communicate()
    assert (process.returncode, err) == (130, "segnst: interrupted; nothing was left behind.\n")
    assert not list(tmp_path.iterdir())


def test_nohup_is_respected(material: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$0" "$@"', sys.executable, "-m", "segnst",
         *map(str, _style(material, "short.mp4", "o.mp4"))],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(1)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 0
    assert [p.name for p in tmp_path.iterdir()] == ["o.mp4"]
