from __future__ import annotations

import json
import sys

import pytest

from segnst.cli.app import main
from segnst.errors import UsageError


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["segnst", *arguments])
    with pytest.raises(SystemExit) as leave:
        main()
    return int(leave.value.code or 0)


def test_lists_are_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["styles"], ["models", "list"], ["doctor"]):
        call(monkeypatch, *command, "--json")
        rows = json.loads(capsys.readouterr().out)
        assert isinstance(rows, list), command


def test_pull_names_what_it_does_not_know() -> None:
    from segnst.catalogue import pull

    with pytest.raises(UsageError, match="Did you mean 'vgg19'"):
        pull(["vgg18"])


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("segnst ")
