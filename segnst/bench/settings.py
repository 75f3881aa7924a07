"""The settings of styling that stability is measured with."""

from __future__ import annotations

from dataclasses import dataclass

from segnst.config import Settings
from segnst.setting import restated


@dataclass(frozen=True, slots=True)
class StabilitySettings(Settings):
    """``Settings`` with the plan and the size that saved results were measured with."""

    styles: tuple[str, ...] = restated(Settings, "styles", ("starry_night_single",))
    max_size: int | None = restated(Settings, "max_size", 640)
