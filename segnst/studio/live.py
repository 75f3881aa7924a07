"""Styling a camera's pictures as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from segnst.assembly import Parts, build
from segnst.config import Settings
from segnst.errors import InputError
from segnst.pipeline import State
from segnst.pixels import from_bytes
from segnst.plan import parse_plan
from segnst.segmentation.base import AnySegmenter
from segnst.segmentation.from_settings import ONE_LOOK
from segnst.studio.pictures import jpeg
from segnst.video.declared import declared_size

LARGEST = 1280  # px of either side of a camera's picture


@dataclass
class _Running:
    settings: Settings
    parts: Parts
    state: State
    count: int = 0


class Live:
    """The cameras that are on, each with its pipeline and what it remembers of earlier frames."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def frame(self, key: str, data: bytes, settings: Settings, segmenter: Callable[[str], AnySegmenter]) -> bytes:
        """Style one JPEG. Raises InputError for anything else, PlanError."""
        size = declared_size(data) if data[:3] == b"\xff\xd8\xff" else None
        if size is None or max(size) > LARGEST:
            raise InputError("The camera sent something that is not a JPEG of at most 1280 pixels.")
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if found is None:
            raise InputError("The camera sent a picture that is damaged.")
        rgb = from_bytes(found[..., ::-1])[None]
        running = self._running.get(key)
        if running is None or running.settings != settings:
            plan = parse_plan(settings.styles)
            known = None if plan.whole_frame else segmenter(ONE_LOOK)
            running = self._running[key] = _Running(settings, build(settings, segmenter=known), State())
        if running.state.previous is not None and running.state.previous.shape != rgb.shape:
            running.state = State()
        styled, running.state = running.parts.pipeline.frame(rgb, running.state, running.count / 10)
        running.count += 1
        return jpeg(styled.rgb[0].cpu(), 80)

    def end(self, key: str) -> None:
        """Forget a camera."""
        self._running.pop(key, None)
