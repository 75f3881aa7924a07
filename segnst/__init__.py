"""segnst styles video per segment: the car in one style, the background in another, without flicker and with sound.

    import segnst
    segnst.style_video("street.mp4", "out.mp4", ["car=starry_night", "background=great_wave"])

Everything below is imported on first use, so that ``import segnst`` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segnst.assembly import build
    from segnst.config import Settings
    from segnst.errors import SegnstError
    from segnst.jobs.batch import style_files
    from segnst.jobs.style import Report, style_video
    from segnst.pipeline import Pipeline, State
    from segnst.plan import Plan, parse_plan
    from segnst.session import Session
    from segnst.steadier import Steadier
    from segnst.types import Clip, LayerMasks, Motion, Region

_WHERE = {
    "Settings": "config",
    "SegnstError": "errors",
    "Pipeline": "pipeline",
    "State": "pipeline",
    "Plan": "plan",
    "parse_plan": "plan",
    "Report": "jobs.style",
    "build": "assembly",
    "Session": "session",
    "Steadier": "steadier",
    "style_files": "jobs.batch",
    "style_video": "jobs.style",
    "Clip": "types",
    "LayerMasks": "types",
    "Motion": "types",
    "Region": "types",
}

__version__ = "0.1.0"
__all__ = [
    "Clip",
    "LayerMasks",
    "Motion",
    "Pipeline",
    "Plan",
    "Region",
    "Report",
    "SegnstError",
    "Session",
    "Settings",
    "State",
    "Steadier",
    "build",
    "parse_plan",
    "style_files",
    "style_video",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'segnst' has no attribute '{name}'")
    return getattr(import_module(f"segnst.{_WHERE[name]}"), name)
