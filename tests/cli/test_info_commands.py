from __future__ import annotations

import json

import pytest

from segnst.errors import UsageError
from tests.conftest import Run


def test_lists_are_json(run: Run) -> None:
    for command in (["styles"], ["models", "list"], ["doctor"]):
        _, out, _ = run(*command, "--json")
        assert isinstance(json.loads(out), list), command


def test_pull_names_what_it_does_not_know() -> None:
    from segnst.catalog import pull

    with pytest.raises(UsageError, match="Did you mean 'vgg19'"):
        pull(["vgg18"])


def test_version(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("segnst ")
