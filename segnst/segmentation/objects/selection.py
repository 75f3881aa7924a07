"""Reads what the user points at: boxes, points and strokes of named objects, each on one frame of the clip."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from segnst.config import Settings
from segnst.errors import InputError, UsageError
from segnst.masks.label_map import fits
from segnst.segmentation.base import Prompt
from segnst.untrusted import check_regular

if TYPE_CHECKING:
    from torch import Tensor

OBJECT = "object"  # name of a selection to which the user gave none
SMALLEST = 4  # px, least side of a box
_ITEM = re.compile(r"(?:(?P<name>[^:@]+):)?(?P<numbers>[^@:]+)(?:@(?P<at>[^@]+))?")


@dataclass(frozen=True, slots=True)
class At:
    """A frame of the clip, by its number (from 0) among the frames of the reader, or by its time in seconds."""

    frame: int | None = 0
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> At:
        """``2.5`` or ``2.5s`` is a time, ``60f`` a frame. Raises UsageError."""
        word = text.strip().lower()
        try:
            if word.endswith("f"):
                number = int(word[:-1])
                value = cls(number)
            else:
                value = cls(None, float(word.removesuffix("s")))
        except ValueError:
            raise UsageError(f"'{text}' is not a time in the clip: use seconds (2.5) or a frame (60f).") from None
        place = value.frame if value.frame is not None else value.seconds
        if place is None or not 0 <= place < math.inf:
            raise UsageError(f"'{text}' is not a time in the clip: it must be 0 or later.")
        return value


@dataclass(frozen=True, slots=True)
class Selection:
    """One object on one frame; several selections of the same name and frame are parts of it.

    mask  [1,1,H,W] in [0,1], if the object is given as a mask and need not be cut out
    """

    name: str
    at: At
    prompt: Prompt | None = None
    mask: Tensor | None = None


def is_selection(settings: Settings) -> bool:
    """Whether the settings point at an object."""
    return bool(settings.box or settings.point or settings.foreground)


@dataclass
class _Group:
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    points: list[tuple[float, float, bool]] = field(default_factory=list)


def _split(text: str, option: str, count: int, default: At) -> tuple[str, tuple[float, ...], At]:
    example = "[NAME:]x,y,width,height[@TIME]" if count == 4 else "[NAME:]x,y[@TIME]"
    match = _ITEM.fullmatch(text.strip())
    try:
        numbers = tuple(float(v) for v in match["numbers"].split(",")) if match else ()
    except ValueError:
        numbers = ()
    if match is None or len(numbers) != count or not all(math.isfinite(v) for v in numbers):
        raise UsageError(f"{option} takes {example} in pixels, got '{text}'.")
    name = (match["name"] or OBJECT).strip().lower()
    if not name or set(name) & set(",=+") or name in ("background", "foreground"):
        raise UsageError(f"{option} '{text}': '{name}' cannot be the name of an object.")
    return name, numbers, At.parse(match["at"]) if match["at"] else default


def parse_selections(settings: Settings, size: tuple[int, int], scale: float = 1.0) -> tuple[Selection, ...]:
    """Read boxes, points and strokes.

    size   (H, W) of the frames that the reader yields;  scale  their pixels per pixel of the input

    A point belongs to that box of its object in which it lies, or, if it lies in none, to all boxes of the object.
    Raises UsageError (cannot be read, outside the frame, contradictory) and InputError (the file of a stroke).
    """
    default = At.parse(settings.at) if settings.at else At()
    # of the input, because what users typed is checked, and named, as they typed it
    frame = (round(size[1] / scale), round(size[0] / scale))
    groups: dict[tuple[str, At], _Group] = {}
    for text in settings.box:
        name, (x, y, width, height), at = _split(text, "--box", 4, default)
        if width <= 0 or height <= 0:
            raise UsageError(f"--box '{text}' has no area: it is x,y,width,height.")
        if not (x < frame[0] and y < frame[1] and x + width > 0 and y + height > 0):
            raise UsageError(f"--box '{text}' lies outside the frame of {frame[0]}x{frame[1]} px.")
        seen = min(x + width, frame[0]) - max(x, 0), min(y + height, frame[1]) - max(y, 0)
        if min(seen) * scale < SMALLEST:
            raise UsageError(f"--box '{text}' holds less than {SMALLEST}x{SMALLEST} px of the frame that is styled.")
        box = (x * scale, y * scale, width * scale, height * scale)
        groups.setdefault((name, at), _Group()).boxes.append(box)
    for texts, option, belongs in ((settings.point, "--point", True), (settings.not_point, "--not-point", False)):
        for text in texts:
            name, (x, y), at = _split(text, option, 2, default)
            if not (0 <= x < frame[0] and 0 <= y < frame[1]):
                raise UsageError(f"{option} '{text}' lies outside the frame of {frame[0]}x{frame[1]} px.")
            groups.setdefault((name, at), _Group()).points.append((x * scale, y * scale, belongs))
    strokes = [read_stroke(Path(path), size) if path else None for path in (settings.foreground, settings.background)]
    if any(s is not None for s in strokes):
        names = list(dict.fromkeys(groups)) or [(OBJECT, default)]
        if len(names) > 1:
            raise UsageError("Strokes belong to one object on one frame; select the other objects in a separate run.")
        groups.setdefault(names[0], _Group())
    found: list[Selection] = []
    for (name, at), group in groups.items():
        found += [Selection(name, at, p) for p in _prompts(name, group, strokes[0], strokes[1])]
    return tuple(found)


def _prompts(name: str, group: _Group, foreground: Tensor | None, background: Tensor | None) -> list[Prompt]:
    known = None if name == OBJECT else name
    if not group.boxes:
        if not any(p[2] for p in group.points) and foreground is None:
            raise UsageError(f"'{name}' has only marks outside of it; add a --box or a --point.")
        return [Prompt(None, tuple(group.points), foreground, background, known)]
    prompts = [Prompt(box, (), foreground, background, known) for box in group.boxes]
    for point in group.points:
        mine = [k for k, p in enumerate(prompts) if _holds(p, point[0], point[1])] or list(range(len(prompts)))
        for k in mine:
            prompts[k] = replace(prompts[k], points=(*prompts[k].points, point))
    return prompts


def _holds(prompt: Prompt, x: float, y: float) -> bool:
    assert prompt.box is not None
    left, top, width, height = prompt.box
    return left <= x < left + width and top <= y < top + height


def read_stroke(path: Path, size: tuple[int, int]) -> Tensor:
    """Read a mask file, in which every pixel that is not black is set -> bool [1,1,H,W].

    A mask with the aspect ratio of the frame (H, W) is scaled to its size. Raises InputError for a mask that has
    another aspect ratio, is black everywhere or cannot be read.
    """
    import torch
    import torch.nn.functional as F

    from segnst.video import images

    check_regular(path, "mask")
    planes = torch.from_numpy(images.load(path).planes().copy())
    mask = (planes[:3].amax(0) > 0.02)[None, None]
    height, width = mask.shape[-2:]
    if (height, width) != size:
        if not fits((height, width), size):
            raise InputError(f"The mask {path} is {width}x{height}, the frames are {size[1]}x{size[0]}.")
        mask = F.interpolate(mask.float(), size, mode="area") > 0.5
    if not mask.any():
        raise InputError(f"The mask {path} is black everywhere: nothing is marked.")
    return mask
