"""Options agree with the settings and functions behind them; ``--help`` is readable and the shell completes values."""

from __future__ import annotations

import dataclasses
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer.main

from segnst.bench.gatys import measure as measure_gatys
from segnst.bench.masks import evaluate_masks
from segnst.bench.selection import measure_selection
from segnst.bench.stability import Options as StabilityOptions
from segnst.bench.tracking import follow_clips
from segnst.catalog import REMOTE
from segnst.cli.app import app
from segnst.cli.completion import model_names, plan_entries
from segnst.export import export_onnx
from segnst.jobs.batch import segment_files, style_files
from segnst.jobs.mask_files import FORMATS
from segnst.jobs.optimize import optimize_file
from segnst.jobs.optimize_film import FilmOptions
from segnst.jobs.segment import segment_file
from segnst.jobs.segment_settings import DetectSettings
from segnst.jobs.style import style_file
from segnst.live.run import live
from segnst.setting import described
from segnst.study.compare import compare_files
from segnst.study.edges import edges_file
from segnst.study.inspect import inspect_file
from segnst.study.reconstruct import reconstruct_file
from segnst.style.checkpoints import known_styles
from segnst.train.added_style import add_style
from segnst.train.collection import train_collection
from segnst.train.features import train_features
from segnst.train.instances import train_instances
from segnst.train.segmenter import train_segmenter
from segnst.train.segmenter_recipe import train_from_recipe
from segnst.train.style import train_style
from segnst.video.codecs import ALIASES
from tests.conftest import Run

# the functions and dataclasses behind each command; parameters of the same name must have the same default
BEHIND: dict[str, tuple[Callable[..., Any], ...]] = {
    "style": (style_file, style_files),
    "live": (live,),
    "optimize": (optimize_file, FilmOptions),
    "reconstruct": (reconstruct_file, FilmOptions),
    "inspect": (inspect_file, edges_file),
    "compare": (compare_files,),
    "segment": (segment_file, segment_files, DetectSettings),
    "studio": (),
    "train style": (train_style, add_style),
    "train collection": (train_collection,),
    "train segmenter": (train_segmenter, train_from_recipe),
    "train instances": (train_instances,),
    "train features": (train_features,),
    "bench collection": (),
    "bench front": (),
    "bench gatys": (measure_gatys,),
    "bench tracking": (follow_clips,),
    "bench mattes": (),
    "bench selection": (measure_selection,),
    "bench speed": (),
    "bench stability": (StabilityOptions,),
    "export onnx": (export_onnx,),
    "evaluate masks": (evaluate_masks,),
    "evaluate mattes": (),
    "styles": (known_styles,),
    "classes": (),
    "models list": (),
    "models pull": (),
    "jobs list": (),
    "jobs show": (),
    "jobs remove": (),
    "doctor": (),
}
# (command, option) whose function has a parameter of the same name with another meaning
DIFFERENT = {
    ("train instances", "start"),  # the command also takes names of weights to fetch
    ("train segmenter", "iterations"),  # a recipe states its own number
}


def _commands(group: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


COMMANDS = dict(_commands())


def test_every_command_is_compared() -> None:
    assert set(BEHIND) == set(COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_options_of_settings_have_their_names_defaults_and_help(name: str) -> None:
    options = {p.name: p for p in COMMANDS[name].params}
    for owner, fields in getattr(COMMANDS[name].callback, "settings", ()):
        known = {f.name: f for f in described(owner)}
        for field in fields:
            option = options[field.name]
            names = [o for text in known[field.name].options for o in text.split("/")]
            assert [*option.opts, *option.secondary_opts] == names
            assert option.help.startswith(field.about.help)
            assert field.about.limits in option.help or field.about.min in (0, 1)
            default = field.default
            if isinstance(default, tuple):
                default = None if field.about.repeat else ",".join(map(str, default))
            assert option.default == default


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_and_the_function_behind_it_have_one_default(name: str) -> None:
    options = {p.name: p for p in COMMANDS[name].params if p.param_type_name == "option"}
    compared = set()
    for function in BEHIND[name]:
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name not in options or (name, parameter.name) in DIFFERENT:
                continue
            option = options[parameter.name]
            default = parameter.default
            compared.add(parameter.name)
            if default is inspect.Parameter.empty or "factory" in str(default):
                continue
            given = option.default if option.default is not None else default
            assert given is None if default is None else type(default)(given) == default, parameter.name
        settings = inspect.signature(function).parameters.get("settings")
        if settings is not None and settings.default not in (None, inspect.Parameter.empty):
            owner = COMMANDS[name].callback.settings[0][0]
            assert dataclasses.asdict(settings.default).keys() == dataclasses.asdict(owner()).keys()
            if function is not add_style:  # it has other settings (AddedStyleSettings)
                assert settings.default == owner()
    if BEHIND[name]:
        assert compared, "nothing to compare: is it the right function?"


@pytest.mark.parametrize(
    ("command", "given", "message"),
    [
        (("style", "x.mp4"), ("--stability", "1.5"), "--stability must lie between 0 and 1, got 1.5."),
        (("segment", "x.mp4", "-o", "masks"), ("--max-size", "3"), "--max-size must be at least 16 px, got 3."),
        (("optimize", "x.png", "y.png"), ("--pooling", "mix"), "--pooling must be one of max, avg, got 'mix'."),
        (("optimize", "x.png", "y.png"), ("--style-weight", "inf"), "--style-weight must be at least 0, got inf."),
        (("compare", "x.png", "--painting", "y"), ("--clip-size", "4"), "--clip-size must be at least 32 px, got 4."),
        (("inspect", "x.png"), ("--channels", "40"), "--channels must lie between 1 and 16, got 40."),
        (("train", "style", "p.png", "--data", ".", "-o", "n"), ("--batch", "0"), "--batch must be at least 1, got 0."),
        (("train", "segmenter"), ("--class-weights", "1,x"), "--class-weights must be numbers separated by commas"),
        (("train", "segmenter"), ("--crop", "320"), "--crop must be of the form 16k+1, such as 321, got 320."),
        (("bench", "stability"), ("--stability", "2"), "--stability must lie between 0 and 1, got 2."),
    ],
)  # fmt: skip
def test_a_value_out_of_range_gets_the_settings_message(
    run: Run, command: tuple[str, ...], given: tuple[str, str], message: str
) -> None:
    code, out, err = run(*command, *given)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_fits_eighty_columns_and_says_what_to_type(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(*name.split(), "--help")
    assert code == 0
    lines = out.splitlines()
    assert all(len(line) <= 80 for line in lines if not line.lstrip().startswith("-"))
    assert "\x1b" not in out
    assert not [line for line in lines if "<str>" in line or "<path>" in line or "<float>" in line or "<int>" in line]


def test_the_options_of_style_stand_in_groups(run: Run) -> None:
    _, out, _ = run("style", "--help")
    headings = [line.removesuffix(":") for line in out.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == ["Arguments", "What", "Where", "Look", "Steadiness", "Reading and writing", "Running"]


def test_fades_join_the_styles_of_a_plan_file(run: Run) -> None:
    cv2.imwrite("a.png", np.zeros((32, 48, 3), np.uint8))
    Path("plan.toml").write_text('styles = ["background=original"]\n')
    code, _, err = run("style", "a.png", "--plan", "plan.toml", "--fade", "sky=0:nonsense,1:original", "--dry-run")
    assert code == 2 and "There is no style 'nonsense'" in err, "the fade is read although the plan file has styles"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("segnst style x.mp4 -s ca", {"car=", "cat="}),
        ("segnst style x.mp4 -s car=great_wave_s", {"car=great_wave_single"}),
        ("segnst style x.mp4 --segmenter kme", {"kmeans"}),
        ("segnst style x.mp4 --flow ", {"dis", "raft"}),
        ("segnst style x.mp4 --codec ff", {"ffv1"}),
        ("segnst optimize x.png --optimizer ", {"lbfgs", "adam"}),
        ("segnst models pull vgg1", {"vgg16", "vgg19"}),
    ],
)
def test_a_shell_completes_values(typed: str, offered: set[str]) -> None:
    asked = {"_SEGNST_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": typed}
    code = "import sys; sys.argv = ['segnst']\nfrom segnst.cli.app import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True)
    words = {word.split('"')[1] for word in done.stdout.splitlines() if '"' in word}
    assert words == offered, done.stderr


def test_completion_knows_what_there_is() -> None:
    assert set(known_styles()) <= set(plan_entries(""))
    assert set(plan_entries("car=")) >= {f"car={name}" for name in known_styles()}
    assert model_names("") == ["all", *(w.name for w in REMOTE)]
    from segnst.cli import completion

    assert completion.completer("codec")("") == [n for n in ALIASES if n not in ("avc", "h265")]  # type: ignore[misc]
    assert completion.completer("format")("") == list(FORMATS)  # type: ignore[misc]


def test_pictures_are_completed_as_styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name in ("my rose.jpg", "mine/lily.PNG", "mine/text.txt", "my.mp4", ".my.jpg"):
        (tmp_path / name).touch()
    assert plan_entries("car=my") == ["car=my rose.jpg"]
    assert plan_entries("car=mi") == ["car=mine/"]
    assert plan_entries("car=mine/") == ["car=mine/lily.PNG"]
    assert plan_entries("car=none/") == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["styles"], 0, "starry_night"),
        (["styles", "--json"], 0, "starry_night"),
        (["style", "clip.mp4", "-s", "starry_nigth"], 2, "starry_night"),
        (["style", "clip.mp4", "-s", "car=starry_night", "-s", "car=udnie"], 2, "given twice"),
        (["style", "missing.mp4", "-s", "starry_night"], 1, "missing.mp4"),
        (["style", "clip.mp4", "-s", "missing.pth"], 1, "missing.pth"),
        (["segment", "missing.mp4", "-o", "masks"], 1, "missing.mp4"),
        (["optimize", "missing.jpg", "painting.jpg"], 1, "missing.jpg"),
    ],
)
def test_quick_answers_import_no_torch(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    (tmp_path / "clip.mp4").write_text("a file that is not opened")
    program = (
        "import atexit, os, sys\nfrom segnst.cli.app import main\n"
        "atexit.register(lambda: 'torch' in sys.modules and os._exit(77))\n"
        f"sys.argv = {['segnst', *words]!r}\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr


def test_help_and_completion_import_no_torch() -> None:
    code = (
        "import sys, io, contextlib\nfrom segnst.cli.app import app\nfrom segnst.cli.completion import plan_entries\n"
        "assert plan_entries('car=')\n"
        "for words in ([], ['style'], ['optimize'], ['compare'], ['train', 'collection'], ['bench', 'stability']):\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        app([*words, '--help'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
