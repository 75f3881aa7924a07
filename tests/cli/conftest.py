"""The fixture ``material`` of the study tests, for options that need a picture, a clip or a network."""

from __future__ import annotations

from tests.material import material

__all__ = ["material"]
