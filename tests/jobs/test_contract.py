"""Contract of all jobs: the same parameters, events, cancelling without files left behind, and a report."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest

from segnst import registry
from segnst.errors import Cancelled
from segnst.jobs.events import Context, Event, Frames, JobReport, Measured, Stage, Step, Thumbnail, Warned
from segnst.jobs.optimize import OptimizeReport
from segnst.study.reconstruct import ReconstructReport
from tests.conftest import Run
from tests.jobs.every import TASKS

every_job = pytest.mark.parametrize("name", TASKS)
_complete: dict[str, tuple[list[Event], JobReport]] = {}


@pytest.fixture(autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a temporary folder, without downloaded weights and with a quick selector."""
    for name in ("SEGNST_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("home")))
    monkeypatch.setitem(registry.SELECTORS, "grabcut", "tests.segmentation.objects.test_sam:load_box")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("scratch")))
    monkeypatch.chdir(tmp_path)


def _clear(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def _undisturbed(name: str, material: Path, folder: Path) -> tuple[list[Event], JobReport]:
    """Events and report of a task that is not cancelled. Each task runs only once for all tests."""
    if name not in _complete:
        events: list[Event] = []
        report = TASKS[name](material, Path(TASKS[name].output), context=Context(events.append, thumbnails=0.0))
        _complete[name] = events, report
        assert not list(Path(tempfile.gettempdir()).iterdir())
        _clear(folder)
    return _complete[name]


@every_job
def test_jobs_have_one_shape(name: str) -> None:
    job = TASKS[name].job
    signature = inspect.signature(job, eval_str=True)
    parameters = list(signature.parameters.values())
    assert [p.name for p in parameters[:3]] == ["input", "output", "settings"]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[3:])
    assert {"overwrite", "context"} <= signature.parameters.keys()
    assert is_dataclass(parameters[2].annotation)
    assert issubclass(signature.return_annotation, JobReport)


@every_job
def test_events_are_in_order_and_complete(name: str, material: Path, tmp_path: Path) -> None:
    events, report = _undisturbed(name, material, tmp_path)
    assert isinstance(events[0], Stage)
    counted = 0
    for event in events:
        if isinstance(event, Stage):
            counted = 0
        elif isinstance(event, Frames):
            counted += 1
            assert event.done == counted, "frames are counted one by one"
            assert event.pace > 0
            assert event.expected is None or (event.left == 0) == (event.done == event.expected)
        elif isinstance(event, Thumbnail):
            assert event.picture.dtype == "uint8" and event.picture.ndim == 3 and event.picture.shape[2] == 3
            assert max(event.picture.shape) <= 160
    if isinstance(report, OptimizeReport | ReconstructReport):
        steps = [e for e in events if isinstance(e, Step)]
        assert [e.losses for e in steps] == report.losses
        assert steps[-1].left == 0
    assert [e.message for e in events if isinstance(e, Warned)] == list(dict.fromkeys(report.as_dict()["warnings"]))
    drawn = any(isinstance(e, Thumbnail) for e in events)
    assert drawn == (name not in ("inspect", "edges")), "every job but those shows what it makes"


class _CancelAt:
    """Cancels its job at the event with the given number."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.context = Context(self, thumbnails=0.0)

    def __call__(self, event: Event) -> None:
        if self.left == 0:
            self.context.cancel()
        self.left -= 1


def _left_behind(folder: Path) -> Iterator[Path]:
    yield from folder.rglob("*")
    yield from Path(tempfile.gettempdir()).iterdir()


@every_job
def test_a_cancelled_job_leaves_nothing(name: str, material: Path, tmp_path: Path) -> None:
    task = TASKS[name]
    events, _ = _undisturbed(name, material, tmp_path)
    work = [k for k, e in enumerate(events) if isinstance(e, Frames | Step | Measured)]
    work = work or [k for k, e in enumerate(events) if isinstance(e, Stage)]
    # Cancel once in the middle, and once after the last frame, step or method. The second time, no output is named if
    # the job allows that, so that the folder of the default output must be removed, too.
    for output, at in ((Path(task.output), work[len(work) // 2]), (None if task.default else task.output, work[-1])):
        cancel = _CancelAt(at)
        with pytest.raises(Cancelled, match=r"nothing was left behind|complete and stay") as told:
            task(material, output, context=cancel.context)
        if task.keeps and "stay" in str(told.value):
            assert not [path for path in _left_behind(tmp_path) if path.name.startswith(".")]
            _clear(tmp_path)
        assert list(_left_behind(tmp_path)) == []


@every_job
def test_the_report_is_what_the_command_prints(name: str, material: Path, tmp_path: Path, run: Run) -> None:
    task = TASKS[name]
    _, report = _undisturbed(name, material, tmp_path)
    code, out, err = run(*task.command(material), "-o", task.output, "--json")
    assert code == 0, err
    assert _timeless(json.loads(out)) == _timeless(json.loads(json.dumps(report.as_dict())))


def _timeless(value: Any) -> Any:
    """A report without the values that differ from one run to the next."""
    if isinstance(value, dict):
        timed = ("seconds", "minutes", "stages", "cpu_seconds", "memory_mb", "seconds_a_frame")
        return {k: _timeless(v) for k, v in value.items() if k not in timed}
    return [_timeless(v) for v in value] if isinstance(value, list) else value
