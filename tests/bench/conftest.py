from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from segnst.cli.app import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``segnst bench …`` in a folder of its own: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["segnst", "bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as leave:
            main()
        out = capsys.readouterr()
        return int(leave.value.code or 0), out.out, out.err

    return call


@pytest.fixture
def run(bench: Run) -> Run:
    """``segnst bench stability …`` in the same way."""
    return lambda *arguments: bench("stability", *arguments)


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has fetched nothing."""
    for name in ("SEGNST_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
