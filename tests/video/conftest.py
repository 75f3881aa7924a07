"""Fixtures for the tests of reading and writing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from segnst.video.read import Reader, open_reader
from segnst.video.write import Writer, open_writer


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing may be logged as an error, nor reach stderr behind Python's back."""
    yield
    errors = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors, errors
    assert capfd.readouterr().err == ""


def copy(
    source: Path, output: Path, *, start=None, end=None, max_size=None, fps=None, **options: object
) -> tuple[Reader, Writer]:
    """Read and write unchanged."""
    with (
        open_reader(source, start=start, end=end, max_size=max_size, fps=fps) as reader,
        open_writer(output, reader, **{"crf": 8, **options}) as writer,  # type: ignore[arg-type]
    ):
        for clip in reader:
            writer.write(clip)
    return reader, writer
