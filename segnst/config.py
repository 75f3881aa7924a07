"""Everything that decides what a run produces; the plan file holds the same names."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segnst.errors import InputError, PlanError, UsageError, did_you_mean


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a styling run.

    styles       entries of the plan (segnst.plan)
    segmenter    registered name (NAME or NAME:ARGUMENT), or path of a fine-tuned checkpoint
    box, point, not_point   what is pointed at, ``[NAME:]x,y,…[@TIME]`` in the input's upright pixels, and followed
                 through the clip as the region NAME (``object`` without one)
    foreground, background   files of strokes on it and beside it
    at           where in the clip, unless the box or point says so: seconds (2.5) or a frame (60f)
    masks        masks from a file instead of a segmenter;  masks_override  label maps that win on their frames;
                 mask_classes  names of the values in masks, in order, separated by commas
    flow         optical flow that steadies masks and paint
    edge         how borders between layers are drawn: guided, feather:PX, hard, threshold:X
    stabilize    whether anything of the past is used;  stability  how much, 0…1
    fast         the narrower network of a collection, and one look by the bundled segmenter: about a third of the time
    tile         off, exact or auto: painting in pieces, for frames that memory does not hold
    stroke_size  size of the strokes, 1 as they come
    keep_colors  keep the source's colors, paint its luminance only
    keep_colors_of  the same for the layers of some regions only, separated by commas
    start, end   seconds, half-open;  max_size  px of the long side
    codec, crf, preset, audio   how it is written;  fps  of a folder of frames
    """

    styles: tuple[str, ...] = ()
    segmenter: str = "deeplab"
    box: tuple[str, ...] = ()
    point: tuple[str, ...] = ()
    not_point: tuple[str, ...] = ()
    foreground: str | None = None
    background: str | None = None
    at: str | None = None
    masks: str | None = None
    masks_override: str | None = None
    mask_classes: str | None = None
    flow: str = "dis"
    edge: str = "guided"
    stabilize: bool = True
    stability: float = 0.9
    fast: bool = False
    tile: str = "off"
    stroke_size: float = 1.0
    keep_colors: bool = False
    keep_colors_of: str = ""
    start: float | None = None
    end: float | None = None
    max_size: int | None = None
    fps: float | None = None
    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    audio: bool = True
    device: str = "auto"
    offline: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.stability <= 1:
            raise UsageError(f"--stability must lie between 0 and 1, got {self.stability:g}.")
        if self.start is not None and not self.start >= 0:
            raise UsageError(f"--start must be 0 or more seconds, got {self.start:g}.")
        if self.end is not None and not self.end > (self.start or 0):
            raise UsageError(f"--end ({self.end:g} s) must lie after --start ({self.start or 0:g} s).")
        if self.max_size is not None and self.max_size < 16:
            raise UsageError(f"--max-size must be at least 16 px, got {self.max_size}.")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UsageError(f"--fps must lie between 0 and 1000, got {self.fps:g}.")
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise UsageError(f"--crf must lie between 0 (best) and 63, got {self.crf}.")


def read_plan_file(path: Path) -> dict[str, Any]:
    """Settings from a TOML file. Raises InputError (missing, unreadable) or PlanError (unknown or wrong entries)."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The plan file {path} cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"The plan file {path} is not TOML: {error}.") from error
    fields = {f.name: f for f in dataclasses.fields(Settings)}
    for key, value in values.items():
        if key not in fields:
            raise PlanError(
                f"{path}: there is no setting '{key}'.{did_you_mean(key, fields)} Known: {', '.join(fields)}."
            )
        kind = str(fields[key].type)
        if "tuple" in kind:
            good = isinstance(value, list) and all(isinstance(v, str) for v in value)
        elif "bool" in kind:
            good = isinstance(value, bool)
        elif "int" in kind:
            good = isinstance(value, int) and not isinstance(value, bool)
        elif "float" in kind:
            good = isinstance(value, int | float) and not isinstance(value, bool)
        else:
            good = isinstance(value, str)
        if not good:
            raise PlanError(f"{path}: the setting '{key}' should be {kind.replace(' | None', '')}, got {value!r}.")
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
