"""Listening to a job and cancelling it."""

from __future__ import annotations

import json
import re
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from segnst.cli.printer import Printer
from segnst.config import Settings
from segnst.errors import Cancelled, SegnstError, SegnstWarning
from segnst.jobs.events import Context, Event, Frames, Input, Measured, Stage, Step, Thumbnail, Warned
from segnst.jobs.optimize import optimize_file
from segnst.jobs.optimize_settings import OptimizeOptions
from segnst.jobs.outputs import folder_for
from segnst.jobs.style import style_file, style_video
from segnst.style.optimization_settings import OptimizeSettings
from segnst.video.pictures import read_picture
from tests.conftest import Run
from tests.jobs.every import tiny_style


def test_a_clip_tells_its_stages_frames_and_warnings(material: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    settings = Settings(styles=(str(tiny_style(material)),))
    report = style_file(material / "clip.mp4", tmp_path / "o.gif", settings, context=Context(events.append))
    kinds = [e.name if isinstance(e, Stage) else type(e) for e in events]
    assert kinds == [
        "open the input", "load the weights", "frames", Frames, Frames, Frames, "complete the file", Warned,
    ]  # fmt: skip
    assert [(e.done, e.expected) for e in events if isinstance(e, Frames)] == [(1, 3), (2, 3), (3, 3)]
    assert events[-1] == Warned(report.warnings[0])
    assert "no sound" in report.warnings[0]


def test_thumbnails_show_the_result_as_often_as_asked(material: Path, tmp_path: Path) -> None:
    settings = Settings(styles=("original",))

    def shown(pause: float | None) -> list[Thumbnail]:
        events: list[Event] = []
        context = Context(events.append, thumbnails=pause)
        style_file(material / "clip.mp4", tmp_path / "o.mkv", settings, overwrite=True, context=context)
        return [e for e in events if isinstance(e, Thumbnail)]

    assert shown(None) == []
    assert [t.frame for t in shown(1e9)] == [0], "the first frame at once, the next after the pause"
    every = shown(0.0)
    assert [t.frame for t in every] == [0, 1, 2]
    source = read_picture(material / "clip.mp4")[0].permute(1, 2, 0).numpy()
    assert np.abs(every[0].picture - 255 * source).max() < 1


def test_nothing_is_drawn_for_nobody() -> None:
    context = Context(thumbnails=0.0)
    assert not context.shows
    context.thumbnail(0, torch.empty(0))  # reducing this empty picture would raise


def test_a_thumbnail_is_160_px_wide_at_most() -> None:
    events: list[Event] = []
    Context(events.append, thumbnails=0.0).thumbnail(7, torch.full((1, 3, 90, 320), 0.5))
    (thumbnail,) = events
    assert isinstance(thumbnail, Thumbnail) and thumbnail.frame == 7
    assert thumbnail.picture.shape == (45, 160, 3)
    assert (thumbnail.picture == 128).all()


def test_another_thread_cancels(material: Path, tmp_path: Path) -> None:
    began, cancelled = threading.Event(), threading.Event()
    done: list[int] = []

    def hear(event: Event) -> None:
        if isinstance(event, Frames):
            done.append(event.done)
            began.set()
            assert cancelled.wait(60)

    context = Context(hear)

    def elsewhere() -> None:
        began.wait(60)
        context.cancel()
        cancelled.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    with pytest.raises(Cancelled):
        style_file(material / "clip.mp4", tmp_path / "o.mp4", Settings(styles=("original",)), context=context)
    thread.join()
    assert done == [1], "not one frame more"
    assert not list(tmp_path.iterdir())
    assert Cancelled.exit_code == 130 and issubclass(Cancelled, SegnstError)


def test_what_exists_is_kept_when_its_replacement_is_cancelled(material: Path, tmp_path: Path) -> None:
    (tmp_path / "o.mp4").write_bytes(b"mine")
    context = Context(lambda event: context.cancel() if isinstance(event, Frames) else None)
    with pytest.raises(Cancelled):
        style_file(
            material / "clip.mp4", tmp_path / "o.mp4", Settings(styles=("original",)), overwrite=True, context=context
        )
    assert (tmp_path / "o.mp4").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_error_of_the_listener_ends_the_job_and_leaves_nothing(material: Path, tmp_path: Path) -> None:
    def fail(event: Event) -> None:
        if isinstance(event, Frames):
            raise RuntimeError("no one is there any more")

    with pytest.raises(RuntimeError, match="any more"):
        style_video(material / "clip.mp4", tmp_path / "o.mp4", "original", listener=fail)
    assert not list(tmp_path.iterdir())


def test_style_video_takes_a_listener_beside_progress(material: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    counts: list[tuple[int, int | None]] = []
    style_video(
        material / "clip.mp4", tmp_path / "o.mp4", "original",
        progress=lambda done, expected: counts.append((done, expected)), listener=events.append,
    )  # fmt: skip
    assert counts == [(1, 3), (2, 3), (3, 3)] == [(e.done, e.expected) for e in events if isinstance(e, Frames)]


def test_warnings_while_loading_are_events_and_in_the_report(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SEGNST_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    events: list[Event] = []
    settings = OptimizeOptions((str(material / "red.png"),), settings=OptimizeSettings(steps=1), offline=True)
    report = optimize_file(material / "photo.png", tmp_path / "o.png", settings, context=Context(events.append))
    assert "stands in for" in report.warnings[0]
    assert [e.message for e in events if isinstance(e, Warned)] == report.warnings


def test_other_warnings_stay_what_they_are() -> None:
    events: list[Event] = []
    with pytest.warns(RuntimeWarning, match="theirs"), Context(events.append).loading() as said:
        warnings.warn("theirs", RuntimeWarning, stacklevel=1)
        for _ in range(2):
            warnings.warn("ours", SegnstWarning, stacklevel=1)
    assert said == ["ours"]
    assert events == [Stage("load the weights"), Warned("ours")]


def test_folders_that_were_made_go_again_unless_they_hold_something(tmp_path: Path) -> None:
    output = tmp_path / "a/b/o.png"
    with pytest.raises(Cancelled), folder_for(output):
        assert output.parent.is_dir()
        raise Cancelled
    assert not list(tmp_path.iterdir())
    with pytest.raises(Cancelled), folder_for(output):
        (tmp_path / "a/theirs").touch()
        raise Cancelled
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["theirs"]
    with folder_for(output):
        pass
    assert output.parent.is_dir()


def test_steps_are_kept_beside_a_default_output_whose_folder_is_not_there_yet(run: Run, material: Path) -> None:
    code, _, err = run(
        "optimize", material / "photo.png", material / "red.png", "--every", "2", "--steps", "4", "-q", "--features",
        material / "vgg.safetensors", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert sorted(p.name for p in Path("results").iterdir()) == ["photo_red.png", "photo_red_steps"]


LOSSES = {"size": 64, "total": 3.0, "content": 1.0, "style": 2.0}


def test_the_printer_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    with Printer() as printer:
        printer(Stage("frames"))
        printer(Frames(15, 30, 10.0, 90.0))
        printer(Frames(16, 30, 10.0, 80.0))  # not printed, too soon after the last one
        printer(Warned("a [word] of 7"))
    err = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "15/30  10.00 frames/s  1:30 left" in err and "16/30" not in err
    assert "segnst: warning: a [word] of 7\n" in err
    with Printer() as printer:
        printer(Step(0, 5, {"step": 1, **LOSSES}, 4.0))
        printer(Frames(5, 5, 1.0, 0.0))  # not printed, because the line of losses says more
    err = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "step 1/5  64 px  total 3  content 1  style 2  0:04 left" in err and "5/5" not in err


def test_the_printer_elsewhere_and_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    told = [Stage("frames"), Frames(1, 2, 1.0, 1.0), Measured("adam", {"content": 1, "style": 2}, 0.5)]
    for quiet, lines in ((False, 1 + 11 + 1), (True, 1)):
        with Printer(quiet) as printer:
            for event in told:
                printer(event)
            for step in range(1, 101):
                printer(Step(0, 100, {"step": step, **LOSSES}, 0.0))
            printer(Warned("a word"))
        err = capsys.readouterr().err.splitlines()
        assert err[-1] == "segnst: warning: a word"
        assert len(err) == lines


def test_lines_come_every_few_seconds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Printer(kind="lines") as printer:
        printer(Input(Path("in/a.mp4"), 2, 3))
        for done in range(1, 13):
            now[0] += 1
            printer(Frames(done, 12, 1.0, 12.0 - done))
    assert capsys.readouterr().err.splitlines() == [
        "2/3 a.mp4  5/12  1.00 frames/s  0:07 left",
        "2/3 a.mp4  10/12  1.00 frames/s  0:02 left",
        "2/3 a.mp4  12/12  1.00 frames/s  0:00 left",
    ]
    with Printer(kind="lines") as printer:
        printer(Frames(12, 12, 50.0, 0.0))
    assert capsys.readouterr().err == "", "a short run prints no line"


def test_every_event_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with Printer(kind="json") as printer:
        for event in (
            Stage("frames"), Input(Path("a.mp4"), 1, None), Frames(1, 2, 0.5, 2.0), Frames(2, 2, 0.5, 0.0),
            Step(0, 9, {"step": 1, **LOSSES}, 3.0), Warned("a word"), Thumbnail(0, np.zeros((2, 2, 3), np.uint8)),
        ):  # fmt: skip
            printer(event)
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [t["event"] for t in told] == ["stage", "input", "frames", "frames", "step", "warned"]
    assert told[2] == {"event": "frames", "done": 1, "expected": 2, "pace": 0.5, "left": 2.0}
    assert told[1]["path"] == "a.mp4" and told[4]["losses"]["total"] == 3.0 and told[5]["message"] == "a word"


def test_progress_on_the_command_line(run: Run, material: Path) -> None:
    code, out, err = run("style", material / "clip.mp4", "-s", "original", "-o", "o.mp4", "--progress", "json")
    assert (code, out) == (0, "o.mp4\n")
    told = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [t["done"] for t in told if t["event"] == "frames"][-1] == 3
    code, _, err = run("style", material / "clip.mp4", "-s", "original", "-o", "p.mp4", "--progress", "jsn")
    assert (
        code == 2 and "--progress must be one of auto, bar, lines, json, none, got 'jsn'. Did you mean 'json'?" in err
    )
    assert not Path("p.mp4").exists()
