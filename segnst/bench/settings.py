"""The styling settings of ``segnst bench stability``."""

from __future__ import annotations

from dataclasses import dataclass

from segnst.config import Settings
from segnst.setting import restated


@dataclass(frozen=True, slots=True)
class StabilitySettings(Settings):
    """``Settings`` whose defaults are the plan and the size of the results in the repository."""

    styles: tuple[str, ...] = restated(Settings, "styles", ("starry_night_single",))
    max_size: int | None = restated(Settings, "max_size", 640)
