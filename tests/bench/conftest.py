from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Run


@pytest.fixture
def bench(run: Run) -> Run:
    """``segnst bench …`` in a folder of its own: (exit code, stdout, stderr)."""
    return lambda *arguments: run("bench", *arguments)


@pytest.fixture
def stability(run: Run) -> Run:
    """``segnst bench stability …`` in the same way."""
    return lambda *arguments: run("bench", "stability", *arguments)


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has fetched nothing."""
    for name in ("SEGNST_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
