"""stdout and stderr that are closed, full or of another encoding, with the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is on Linux")


def _shell(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    cv2.imwrite(str(folder / "a.png"), np.full((32, 48, 3), 90, np.uint8))
    return subprocess.run(
        ["sh", "-c", line.replace("segnst", f"{sys.executable} -m segnst")],
        cwd=folder, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


STYLE = "segnst style a.png -s original -o"


@pytest.mark.parametrize(
    "stream", ["2>&-", "2>/dev/full", ">/dev/full", ">&-", ">&- 2>&-", "<&- >/dev/full 2>/dev/full"]
)
def test_a_run_whose_words_are_lost_is_a_success(tmp_path: Path, stream: str) -> None:
    done = _shell(tmp_path, f"{STYLE} o.png {stream}")
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr
    assert cv2.imread(str(tmp_path / "o.png")) is not None
    assert {p.name for p in tmp_path.iterdir()} == {"a.png", "o.png"}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_names_that_are_no_text(tmp_path: Path, encoding: str) -> None:
    name = b"caf\xe9 \xe2\x82\xac.png"
    done = _shell(tmp_path, f"{STYLE} {os.fsdecode(name).replace(' ', '_')}", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.iterdir())) == 2
    if encoding == "utf-8":
        assert done.stdout.strip() == name.replace(b" ", b"_")


def test_data_that_was_asked_for_and_lost_is_a_failure(tmp_path: Path) -> None:
    done = _shell(tmp_path, "segnst styles --json >/dev/full")
    assert done.returncode == 1
    assert (
        done.stderr == b"segnst: stdout cannot be written (No space left on device), so what was asked for is lost.\n"
    )
