"""Fixtures for the commands that paint and study stills."""

from __future__ import annotations

from tests.material import material

__all__ = ["material"]
