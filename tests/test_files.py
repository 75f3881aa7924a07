"""Files are written completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from safetensors import safe_open
from torch import ones

from segnst.errors import OutputError
from segnst.files import write_bytes, write_text, written_whole
from segnst.temporaries import hidden_name
from segnst.weights import write_tensors


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_appears_only_when_it_is_complete(tmp_path: Path, durable: bool) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    with written_whole(target, durable=durable) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert temporary.parent == tmp_path and temporary.name.startswith(".") and temporary.suffix == ".json"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("problem", [ValueError, OSError, KeyboardInterrupt, GeneratorExit])
def test_what_goes_wrong_leaves_the_old_file_and_nothing_else(tmp_path: Path, problem: type[BaseException]) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    with pytest.raises(problem), written_whole(target) as temporary:
        temporary.write_text("half")
        raise problem
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "one", b"1")
        write_tensors(tmp_path / "two.safetensors", {"x": ones(2)}, {})
    finally:
        os.umask(before)
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o640}
    with safe_open(tmp_path / "two.safetensors", "pt") as file:
        assert file.get_tensor("x").tolist() == [1, 1]


def test_a_link_is_replaced_and_what_it_points_at_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(kept)
    write_text(link, "ü")
    assert kept.read_text() == "mine"
    assert link.read_bytes() == "ü".encode() and not link.is_symlink()


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere/a\.txt cannot be written \(No such file or directory\)"):
        write_text(tmp_path / "nowhere" / "a.txt", "x")


def test_hidden_names_differ_and_fit_the_file_system(tmp_path: Path) -> None:
    for name in ("a.mp4", "frames", "ü" * 120 + ".png", "Mr. Long sentence with a dot"):
        one, other = hidden_name(tmp_path / name), hidden_name(tmp_path / name)
        assert one != other and one.name.startswith(".")
        one.write_bytes(b"")
    assert hidden_name(tmp_path / "a.mp4").suffix == ".mp4"
