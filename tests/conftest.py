"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared material; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("shared/ is not here")
    return SHARED
