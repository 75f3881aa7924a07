"""A real studio on loopback, started as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clips import panning, write_clip

CLIENT = "test-client-1"


@dataclass
class Served:
    """A running studio: its address, process and folder; ``http`` asks as its own page would."""

    address: str
    process: subprocess.Popen[str]
    work: Path
    http: httpx.Client

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def studio(work: Path, *arguments: str | Path) -> Iterator[Served]:
    """Start ``segnst studio`` on a free port; end it as Ctrl-C does."""
    command = [sys.executable, "-m", "segnst", "studio", *map(str, arguments), "--port", "0", "--no-browser"]
    command += ["--work", str(work), "--offline", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://\S+", line)
    assert found, line + process.stderr.read()
    address = found[0].rstrip("/")
    headers = {"origin": address, "x-client": CLIENT}
    try:
        with httpx.Client(base_url=address, headers=headers, timeout=240) as http:
            yield Served(address, process, work, http)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        finally:
            process.kill()
            process.stderr.close()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four frames of 64x48 px."""
    return write_clip(tmp_path_factory.mktemp("clips") / "pan.mp4", panning(4))


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Iterator[Served]:
    """A studio that was started with a folder which holds a clip."""
    with studio(tmp_path_factory.mktemp("work"), clip.parent, "--max-upload", "1") as running:
        yield running
