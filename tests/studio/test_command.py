"""``segnst studio`` on the command line: what keeps it from starting is said in a sentence."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from segnst.cli import studio
from segnst.errors import UsageError
from segnst.studio.server import bind, names_of
from segnst.studio.settings import StudioSettings
from tests.conftest import Run


def test_what_is_missing_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("studio", "nowhere.mp4", "--no-browser", "--work", "work")
    assert code == 1 and "nowhere.mp4 does not exist" in err
    monkeypatch.setattr(studio, "NEEDED", ("no_such_package",))
    code, _, err = run("studio")
    assert code == 2 and "needs no_such_package: pip install 'segnst[studio]'" in err


def test_a_taken_port_is_said_unless_it_is_the_default() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="cannot listen on"):
            bind(StudioSettings(port=taken.getsockname()[1]))
    with bind(StudioSettings()) as first, bind(StudioSettings()) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


@pytest.mark.parametrize("wrong", [{"port": 70000}, {"max_upload": 0}, {"keep_days": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        StudioSettings(**wrong)  # type: ignore[arg-type]


def test_only_other_addresses_need_a_token(tmp_path: Path) -> None:
    assert not StudioSettings().open_to_others
    assert StudioSettings(host="0.0.0.0").open_to_others
    assert names_of("127.0.0.1", 1) == ("127.0.0.1:1", "localhost:1", "[::1]:1")
    assert names_of("0.0.0.0", 1) == ()
    assert StudioSettings(work=str(tmp_path)).folder == tmp_path
