"""Runs: the contract that every training must fulfill, and ``Run`` itself on a training of a single number."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from segnst.cli.training_progress import TrainingLines
from segnst.errors import OutputError, UsageError, WeightsError
from segnst.style.collection import Member
from segnst.train.added_style import add_style
from segnst.train.card import Table, last_losses, write_card
from segnst.train.features import train_features
from segnst.train.instances import train_instances
from segnst.train.run import Progress, Run
from segnst.train.segmenter import train_segmenter
from segnst.train.segmenter_folders import DataFolder
from segnst.train.training import GradientTraining
from tests.material import write_vgg
from tests.train import test_features, test_instances, test_segmenter
from tests.train.test_collection_training import SETTINGS, collect, paintings
from tests.train.test_instances import coco
from tests.train.test_segmenter import small
from tests.train.test_style_training import material, train

__all__ = ["coco", "material", "paintings", "small"]  # fixtures

Train = Callable[..., object]
"""A training, called with the name of a work folder and further arguments."""


def _style(root: Path) -> Train:
    return lambda work, **more: train(root, work=work, **more)


def _collection(root: Path) -> Train:
    return lambda work, **more: collect(root, work=work, **more)


def _one_more(root: Path) -> Train:
    into = collect(root, work="before")

    def add(work: str, **more: Any) -> None:
        copy = root / f"{work}.safetensors"  # each work adds to the collection as it was
        copy.write_bytes(into.read_bytes())
        add_style(
            root / "paintings/2.png", [root / "photos"], Member("three"), copy, work=root / work,
            settings=replace(SETTINGS, iterations=6), features=str(root / "vgg.safetensors"), **more,
        )  # fmt: skip

    return add


def _segmenter(root: Path) -> Train:
    data = [DataFolder(test_segmenter.toys(root / "toys"))]
    return lambda work, **more: train_segmenter(
        data, root / work, classes=["a", "b"], settings=test_segmenter.FAST, **more
    )


def _instances(root: Path) -> Train:
    settings = replace(test_instances.FAST, iterations=4)
    return lambda work, **more: train_instances(
        [root / "coco"], root / work, network=test_instances.SMALL, settings=settings, **more
    )


def _features(root: Path) -> Train:
    write_vgg(root / "vgg.safetensors")
    return lambda work, **more: train_features(
        [root / "photos"], "mine", teacher=root / "vgg.safetensors", out=root / "out", work=root / work,
        settings=test_features.TINY, overwrite=True, **more,
    )  # fmt: skip


ALL = (_style, _collection, _one_more, _segmenter, _instances, _features)


def kept(work: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the run in a work folder, and its checkpoint."""
    (path,) = work.rglob("run.pt")
    return path.parent, torch.load(path, weights_only=True)


def tensors(value: Any) -> list[torch.Tensor]:
    """All tensors of nested dictionaries and lists, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in inside for tensor in tensors(part)]


@pytest.mark.parametrize("kind", ALL, ids=[f.__name__.strip("_") for f in ALL])
def test_an_interrupted_training_equals_an_unbroken_one(
    kind: Callable[[Path], Train], material: Path, paintings: Path, coco: Path
) -> None:
    train_in = kind(material)
    told: list[Progress] = []
    train_in("whole", report=told.append)
    train_in("cut", stop_at=2)
    assert kept(material / "cut")[1]["iteration"] == 2
    train_in("cut")
    (one, whole), (other, cut) = (kept(material / work) for work in ("whole", "cut"))
    assert whole["iteration"] == cut["iteration"] > 2
    ours, theirs = tensors(whole["training"]), tensors(cut["training"])
    assert len(ours) == len(theirs) > 0
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert (one / "history.json").read_text() == (other / "history.json").read_text()
    assert (one / "curves.png").is_file()
    assert not list(material.rglob(".*")), "nothing half written is left"
    assert [p.iteration for p in told if p.losses] == list(range(1, whole["iteration"] + 1))
    assert told[-1].minutes_left == 0
    (one / "run.pt").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"run\.pt is damaged.*--restart"):
        train_in("whole")


class Line(GradientTraining):
    """Learns one number; tests can make it fail in various ways."""

    kind = "line"
    judged_by = "nearness"
    may_change = frozenset({"iterations"})

    def __init__(self, iterations: int = 6, **settings: Any) -> None:
        self.net = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.net.weight)
        self.explodes_at, self.scores, self.closed = -1, [3.0, 5.0, 4.0], 0
        optimizer = torch.optim.SGD(self.net.parameters(), 0.1)
        super().__init__(self.net, optimizer, iterations, 3, {"iterations": iterations, **settings})

    def step(self, iteration: int) -> dict[str, float]:
        x = torch.randn(4, 1)  # uses torch's global random generator, which the run seeds
        loss = (self.net(x) - 2 * x).square().mean() * (float("nan") if iteration == self.explodes_at else 1)
        self.descend(loss)
        return {"loss": float(loss.detach())}

    def validate(self) -> dict[str, float]:
        return {"nearness": self.scores.pop(0)}

    def keep(self, folder: Path, iteration: int, values: dict[str, float]) -> None:
        (folder / "best.txt").write_text(f"{iteration} {values['nearness']}")

    def close(self) -> None:
        self.closed += 1


def test_the_best_is_kept_and_known_after_a_break(tmp_path: Path) -> None:
    scores: list[float] = []
    run = Run(Line(), tmp_path, validate_every=2)
    run.go(stop_at=4, report=lambda p: scores.extend(p.scores.values()))
    assert scores == [3.0, 5.0] and (tmp_path / "best.txt").read_text() == "4 5.0"
    again = Line()
    again.scores = [4.0]
    Run(again, tmp_path, validate_every=2).go()
    assert (tmp_path / "best.txt").read_text() == "4 5.0"
    assert json.loads((tmp_path / "history.json").read_text())["nearness"] == [[2, 3.0], [4, 5.0], [6, 4.0]]
    assert again.closed == 1


def test_a_stop_is_stored(tmp_path: Path) -> None:
    training = Line()
    asked: list[int] = []
    Run(training, tmp_path).go(stop=lambda: len(asked) == 2 or bool(asked.append(0)))
    assert kept(tmp_path)[1]["iteration"] == 3
    assert training.closed == 1


@pytest.mark.parametrize(("pace", "stored"), [({"save_every": 2}, 4), ({"save_seconds": 0.0}, 5), ({}, None)])
def test_a_run_is_stored_as_often_as_asked(tmp_path: Path, pace: dict[str, Any], stored: int | None) -> None:
    training = Line()
    training.explodes_at = 5
    with pytest.raises(UsageError, match=r"no longer finite at iteration 5 \(loss\).*--learning-rate") as caught:
        Run(training, tmp_path, **pace).go()
    if stored is None:
        assert not list(tmp_path.iterdir()) and "nothing was stored yet" in str(caught.value)
    else:
        assert kept(tmp_path)[1]["iteration"] == stored
        assert f"last good state is {tmp_path / 'run.pt'}" in str(caught.value)
    assert training.closed == 1


def test_what_differs_from_a_checkpoint_is_named(tmp_path: Path) -> None:
    Run(Line(rate=(1, 2), gone=True), tmp_path).go(stop_at=1)
    Run(Line(9, rate=(1, 2), gone=True), tmp_path)
    with pytest.raises(UsageError, match=r"gone was true and is now not set; new was not set and is now 3\. Give"):
        Run(Line(rate=(1, 2), new=3), tmp_path)
    assert Run(Line(new=3), tmp_path, restart=True).iteration == 0

    class Other(Line):
        kind = "other"

    with pytest.raises(UsageError, match="'line', not 'other'"):
        Run(Other(rate=(1, 2), gone=True), tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK", {"kind": "line"}, {"iteration": "x"}, {"training": {}}, [1]])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: Any) -> None:
    Run(Line(), tmp_path).go(stop_at=1)
    path = tmp_path / "run.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        good = kept(tmp_path)[1]
        torch.save(good | content if content != {"kind": "line"} and isinstance(content, dict) else content, path)
    with pytest.raises(WeightsError, match=r"run\.pt is damaged"):
        Run(Line(), tmp_path)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"kind": Hostile()}, tmp_path / "run.pt")
    with pytest.raises(WeightsError, match="damaged"):
        Run(Line(), tmp_path)
    assert not (tmp_path / "ran").exists()


def test_folders_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        Run(Line(), tmp_path / "file/run")
    run = Run(Line(), tmp_path / "run")
    (tmp_path / "run/run.pt").mkdir()
    with pytest.raises(OutputError, match=r"run\.pt cannot be written"):
        run.go()
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"run.pt", "best.txt"}, "nothing half written is left"


def test_lines_say_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = TrainingLines("mine", every=2, sums={"error": ("lo",)}, recent=0.0)
    Run(Line(5), tmp_path, validate_every=4).go(report=lines)
    shown = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in shown] == ["mine 2/5", "mine 4/5", "mine 4/5", "mine 5/5", "mine 5/5"]
    assert shown[0].split()[2] == "error" and shown[0].endswith("min left")
    assert shown[2].endswith("nearness 3.000")


def test_a_card_has_a_header_facts_and_tables(tmp_path: Path) -> None:
    losses = last_losses({"total": [(1, 9.0), (2, 1.0), (3, 2.0)]}, 2, "Mean of the last:")
    write_card(tmp_path / "a.safetensors", "What it is.", {"Terms": "mine"}, losses, Table(("n",), [(3,)]))
    assert (tmp_path / "a.md").read_text() == (
        "# a\n\nWhat it is.\n\n- Terms: mine\n\n"
        "Mean of the last:\n\n| term | value |\n|---|---|\n| total | 1.5000 |\n\n| n |\n|---|\n| 3 |\n"
    )
