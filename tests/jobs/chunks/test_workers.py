"""Chunks that are styled apart: in processes of this machine, and on a Ray cluster."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segnst.errors import Cancelled, InputError, UsageError
from segnst.jobs.chunks.apart import FirstPass
from segnst.jobs.chunks.listing import find_journals
from segnst.jobs.chunks.settings import Spread
from segnst.jobs.events import Context, Event, Frames, Note, Warned
from segnst.jobs.style import style_file
from segnst.video.read import open_reader
from tests.clips import panning, write_clip
from tests.jobs.chunks.make import cut_clip, frames_of, settings
from tests.jobs.every import tiny_style


def chunks_of(path: Path, length: int, warm: int) -> list[tuple[int, int, int, bool]]:
    """(frames before what is decoded, frames to throw away, frames to keep, final) of each chunk."""
    with open_reader(path) as reader:
        first = FirstPass(reader, None, torch.device("cpu"), length, warm)
        return [(c.start.before, c.warm, c.frames, c.final) for c in first]


def test_chunks_begin_at_cuts_or_with_frames_to_warm_up(tmp_path: Path) -> None:
    scenes = write_clip(tmp_path / "scenes.mp4", cut_clip((5, 2, 6, 3)), sound=False)
    # the cut after 2 more frames is passed over, because a chunk has at least half the length
    assert chunks_of(scenes, 8, 3) == [(0, 0, 5, False), (5, 0, 8, False), (13, 0, 3, True)]
    scene = write_clip(tmp_path / "scene.mp4", panning(11), sound=False)
    assert chunks_of(scene, 4, 2) == [(0, 0, 4, False), (2, 2, 4, False), (6, 2, 3, True)]
    assert chunks_of(scene, 11, 2) == [(0, 0, 11, True)]
    with open_reader(scene) as reader:  # the last tenth, here the last frame, has chunks of a third of the length
        shorter = FirstPass(reader, None, torch.device("cpu"), 5, 1, 11)
        assert [(c.warm, c.frames) for c in shorter] == [(0, 5), (1, 5), (1, 1)]
    single = write_clip(tmp_path / "single.mp4", panning(1), sound=False)
    assert chunks_of(single, 4, 2) == [(0, 0, 1, True)]


class Heard:
    """Collects what a run says; ``at`` calls a function once when so many frames are done."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warned: list[str] = []
        self.calls: list[tuple[int, object]] = []
        self.context = Context(self)

    def at(self, frames: int, call: object) -> None:
        self.calls.append((frames, call))

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note):
            self.notes.append(event.message)
        elif isinstance(event, Warned):
            self.warned.append(event.message)
        elif isinstance(event, Frames):
            for frames, call in list(self.calls):
                if event.done >= frames:
                    self.calls.remove((frames, call))
                    call()  # type: ignore[operator]


def workers_of(process: int) -> list[int]:
    """Processes that work for this one, by the name that spawned Python processes have."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == process and b"spawn_main" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except (OSError, IndexError, ValueError):
                continue
    return found


def test_workers_make_the_frames_of_one_process_and_survive_a_kill(tmp_path: Path) -> None:
    """Cuts reset everything, so chunks that begin at them are the same, also when a worker is killed meanwhile."""
    clip = write_clip(tmp_path / "c.mp4", cut_clip((10, 9, 12, 3)))
    options = settings(tiny_style(tmp_path), codec="ffv1")
    style_file(clip, tmp_path / "plain.mkv", options)
    heard = Heard()
    if Path("/proc/self/stat").exists():
        heard.at(2, lambda: os.kill(workers_of(os.getpid())[0], signal.SIGKILL))
    report = style_file(clip, tmp_path / "o.mkv", options, spread=Spread(workers=2, chunk=12), context=heard.context)
    assert report.frames == 34
    assert frames_of(tmp_path / "o.mkv") == frames_of(tmp_path / "plain.mkv")
    assert "2 workers with 1 thread each" in heard.notes[0] and "together" in heard.notes[0]
    if Path("/proc/self/stat").exists():
        assert any("ended by signal 9; its chunk is styled again" in each for each in heard.warned)
        assert workers_of(os.getpid()) == []
    assert find_journals([tmp_path]) == []


def test_a_cancelled_run_goes_on_with_one_worker_and_nothing_is_done_twice(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", panning(20))
    options = settings(tiny_style(tmp_path))
    spread = Spread(workers=2, chunk=6)
    style_file(clip, tmp_path / "whole.mp4", options, spread=spread)
    heard = Heard()
    heard.at(13, heard.context.cancel)  # by then, two workers have finished one chunk of 6 at least
    with pytest.raises(Cancelled, match="--resume goes on"):
        style_file(clip, tmp_path / "o.mp4", options, spread=spread, context=heard.context)
    (kept,) = find_journals([tmp_path])
    assert 0 < kept.frames < 20
    assert [p.name for p in kept.journal.iterdir() if p.name.startswith(".")] == []
    with pytest.raises(UsageError, match="chunks of 6 frames"):
        style_file(clip, tmp_path / "o.mp4", options, spread=Spread(workers=2, chunk=5))
    style_file(clip, tmp_path / "o.mp4", options, spread=Spread(resume=True))
    assert frames_of(tmp_path / "o.mp4") == frames_of(tmp_path / "whole.mp4")


def test_an_error_of_a_worker_ends_the_run_with_its_sentence(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", panning(12), sound=False)
    style = tiny_style(tmp_path)
    masks = tmp_path / "masks"
    masks.mkdir()
    for number in range(12):
        shape = (48, 64) if number < 9 else (7, 5)
        cv2.imwrite(str(masks / f"{number:06d}.png"), np.full(shape, 255 if number < 9 else 9, np.uint8))
    options = settings(style, styles=(f"object={style}",), masks=str(masks), mask_classes="other,object")
    with pytest.raises(InputError):
        style_file(clip, tmp_path / "o.mp4", options, spread=Spread(workers=2, chunk=4))
    assert not (tmp_path / "o.mp4").exists()


def test_a_journal_of_one_process_is_not_spread(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", panning(6))
    options = settings(tiny_style(tmp_path))
    heard = Heard()
    heard.at(5, heard.context.cancel)
    with pytest.raises(Cancelled):
        style_file(clip, tmp_path / "o.mp4", options, spread=Spread(resume=True, chunk=4), context=heard.context)
    with pytest.raises(UsageError, match="begun in one process"):
        style_file(clip, tmp_path / "o.mp4", options, spread=Spread(workers=2))


def test_contradictory_options_are_refused() -> None:
    with pytest.raises(UsageError, match="--shared is for --ray"):
        Spread(shared="x")
    with pytest.raises(UsageError, match="leave one out"):
        Spread(ray="auto", workers=2)
