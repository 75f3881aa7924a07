"""Styling live pictures: at a size that can be kept up, by a plan that can change while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch

from segnst.assembly import Parts, build, memory_advice
from segnst.config import Settings
from segnst.errors import SegnstError, UsageError
from segnst.live.pacing import Effort
from segnst.pipeline import State
from segnst.pixels import to_bytes
from segnst.plan import ORIGINAL, Entry, StyleTerm, parse_plan, short_name
from segnst.segmentation.wrappers.seldom import SeldomSegmenter
from segnst.sheet import layer_picture
from segnst.style.checkpoints import known_styles
from segnst.video import color
from segnst.video.geometry import Orientation, orientation_of, plan_geometry, sane_aspect
from segnst.video.source import matrix_of

View = Literal["styled", "masks", "original"]
SMALLEST = 64  # px of the shorter side of what is painted
_WARM = (96, 160)  # height and width of the picture that is styled first
# Settings that look into a file before the run, or at a range of it.
OF_FILES = (
    "box", "point", "not_point", "foreground", "background", "at", "masks", "masks_override", "mask_classes",
    "start", "end", "fps", "refine",
)  # fmt: skip


def check_live(settings: Settings) -> None:
    """Raise UsageError for a setting that needs a file."""
    for name in OF_FILES:
        if getattr(settings, name):
            raise UsageError(
                f"--{name.replace('_', '-')} needs a file that can be looked into; `segnst live` has only what comes."
            )


def next_styles(styles: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The plan's entries with the style after each one's own, of those that are ``known``; `original` stays."""

    def after(entry: Entry) -> Entry:
        name = entry.styles[0].style
        if entry.original or not known:
            return entry
        chosen = known[(known.index(name) + 1) % len(known)] if name in known else known[0]
        return replace(entry, styles=(StyleTerm(chosen, 1.0),), fade=())

    return tuple(str(after(entry)) for entry in parse_plan(styles).entries)


@dataclass(frozen=True, slots=True)
class _Built:
    settings: Settings
    parts: Parts


def _built(settings: Settings) -> _Built:
    """Load everything, and style one picture: the first one takes far longer than those that follow."""
    parts = build(settings)
    parts.pipeline.frame(torch.zeros(1, 3, *_WARM), State())
    return _Built(settings, parts)


class Stylist:
    """Styles one picture after another. For one thread; plans are built in another.

    settings  whose plan is painted; ``view``: what is shown
    Raises what ``segnst.assembly.build`` raises, and UsageError for settings that need a file.
    """

    def __init__(self, settings: Settings) -> None:
        check_live(settings)
        self.view: View = "styled"
        self._now = _built(settings)
        self._next: _Built | SegnstError | None = None
        self._builder: threading.Thread | None = None
        self._wanted: Callable[[], Settings] | None = None
        self._effort = Effort()
        self._state = State()
        self._seldom: SeldomSegmenter[Any] | None = None
        self._geometry: tuple[tuple[int, int, Any], tuple[int, int], Orientation] | None = None

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        return self._now.settings

    @property
    def plan(self) -> str:
        """The plan in use, in one line."""
        return " ".join(self._named(entry) for entry in self._now.parts.plan.entries)

    def _named(self, entry: Entry) -> str:
        mix = "+".join(term.style if term.style == ORIGINAL else short_name(term.style) for term in entry.styles)
        return f"{entry.name}={mix}" if entry.regions else mix

    def change(self, wanted: Callable[[], Settings]) -> None:
        """Build another plan in the background; ``poll`` says when it is in use. A later change replaces this one."""
        self._wanted = wanted
        self._start()

    def next_style(self) -> None:
        """Change every painted region to the next bundled style."""
        settings = self.settings
        known = [name for name in known_styles(fast=settings.fast) if name != ORIGINAL]
        self.change(lambda: replace(settings, styles=next_styles(settings.styles, known)))

    def _start(self) -> None:
        if self._wanted is None or self._builder is not None:
            return
        wanted, self._wanted = self._wanted, None

        def work() -> None:
            try:
                settings = wanted()
                check_live(settings)
                self._next = _built(settings)
            except SegnstError as error:
                self._next = error

        self._builder = threading.Thread(target=work, name="segnst-plan", daemon=True)
        self._builder.start()

    def poll(self) -> bool | SegnstError:
        """Take up a plan that is ready: True; an error if it cannot be used, and the old one stays; else False."""
        if self._builder is None or self._builder.is_alive():
            return False
        self._builder = None
        built, self._next = self._next, None
        self._start()
        if isinstance(built, SegnstError):
            return built
        if built is None:
            return UsageError("The new plan could not be built.")
        self._now, self._state, self._seldom = built, State(began=self._state.began), None
        self.spend(self._effort)
        return True

    @property
    def idle(self) -> bool:
        """Whether nothing is painted, so that there is nothing to save."""
        return self._now.parts.pipeline.idle or self.view == "original"

    def spend(self, effort: Effort) -> None:
        """Style with this effort from the next picture on."""
        if effort.scale != self._effort.scale:  # what earlier pictures left has another size
            self._state = State(began=self._state.began)
        self._effort = effort
        pipeline, segmenter = self._now.parts.pipeline, self._now.parts.segmenter
        if segmenter is not None and not segmenter.in_order and (effort.every > 1 or self._seldom is not None):
            before = self._seldom
            self._seldom = SeldomSegmenter(segmenter, effort.every)
            pipeline.segmenter = self._seldom
            if before is None:  # its carry is another one
                self._state = replace(self._state, segmenter=None)

    def size_of(self, frame: Any, aspect: Any = None) -> tuple[int, int]:
        """The size (width, height) of the result for a frame of the source, upright, with square pixels; even."""
        return self._placed(frame, aspect)[0]

    def _placed(self, frame: Any, aspect: Any) -> tuple[tuple[int, int], Orientation]:
        key = (frame.width, frame.height, aspect)
        if self._geometry is None or self._geometry[0] != key:
            orientation = orientation_of(matrix_of(frame)) or Orientation()
            limit = self.settings.max_size
            planned = plan_geometry(key[:2], sane_aspect(aspect), orientation, limit, even=True)
            width, height = planned.upright
            self._geometry = (key, (max(2, width // 2 * 2), max(2, height // 2 * 2)), orientation)
        return self._geometry[1], self._geometry[2]

    def __call__(self, frame: Any, seconds: float, size: tuple[int, int], aspect: Any = None) -> np.ndarray:
        """Style a decoded frame that shows ``seconds``: uint8 RGB [H,W,3] of ``size`` (width, height)."""
        _, orientation = self._placed(frame, aspect)
        scale = 1.0 if self.idle else max(self._effort.scale, min(1.0, SMALLEST / min(size)))
        work = (max(2, round(size[0] * scale / 2) * 2), max(2, round(size[1] * scale / 2) * 2))
        pixels = _upright(frame, orientation, work)
        if self.idle:
            return pixels
        rgb = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div_(255)
        state = self._state if self._state.began is not None else replace(self._state, began=seconds)
        if state.previous is not None and state.previous.shape != rgb.shape:
            state = State(began=state.began)
        with memory_advice(f"{work[0]}x{work[1]}"):
            styled, self._state = self._now.parts.pipeline.frame(rgb, state, seconds - (state.began or 0.0))
        result = styled.rgb[0]
        if self.view == "masks":
            result = layer_picture(styled.masks.soft[0], rgb[0]) if styled.masks is not None else rgb[0]
        shown = to_bytes(result)
        if work != size:
            shown = cv2.resize(shown, size, interpolation=cv2.INTER_CUBIC)
        return shown


def _upright(frame: Any, orientation: Orientation, size: tuple[int, int]) -> np.ndarray:
    """A decoded frame as uint8 RGB [H,W,3] of ``size`` (width, height). swscale is quick, and exact enough here."""
    width, height = orientation.size(size)
    tags = color.ColorTags(int(frame.colorspace), int(frame.color_range), 2, 2)
    options: dict[str, Any] = {}
    if not (frame.format.is_rgb or frame.format.has_palette):
        options["src_colorspace"] = color.matrix_for(tags, frame.height)
        options["src_color_range"] = 2 if color.is_full(tags, frame.format.name) else 1
    smaller = width < frame.width
    made = frame.reformat(
        width=width, height=height, format="rgb24", dst_color_range=2, interpolation=0x20 if smaller else 0x2, **options
    )
    pixels = made.to_ndarray()
    if orientation != Orientation():
        turned = orientation.upright(torch.from_numpy(pixels).permute(2, 0, 1))
        pixels = turned.permute(1, 2, 0).contiguous().numpy()
    return np.ascontiguousarray(pixels)


class PlanWatch:
    """Notices that a plan file has changed on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._mark()

    def changed(self) -> bool:
        """Whether the file is another one than at the last call. A file that is missing for a moment is not."""
        mark = self._mark()
        if mark is None or mark == self._seen:
            return False
        self._seen = mark
        return True

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
