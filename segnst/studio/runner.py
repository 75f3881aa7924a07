"""The desk for long work: following an object through a clip, and rendering."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segnst.config import Settings
from segnst.device import choose_device
from segnst.errors import UsageError
from segnst.jobs.chunks.settings import Spread
from segnst.jobs.events import Context, Event, Frames, Stage, Thumbnail, Warned
from segnst.jobs.style import style_file
from segnst.segmentation.from_settings import segmenter_for
from segnst.studio.desk import Call
from segnst.studio.lanes import Lane, marked_alone
from segnst.studio.pictures import PREVIEW, jpeg, seconds_of
from segnst.video.read import open_reader

KEPT = 480  # px of the long side of followed masks
Steps = Generator[dict[str, Any], None, dict[str, Any]]  # events, and the answer
PAUSE = 0.7  # seconds between two pictures of where a render is


class RunnerDesk:
    """Requests that take minutes. They end at the next frame when they are cancelled."""

    def __init__(self, *, work: str, **options: Any) -> None:
        del options
        self.work = Path(work)

    def follow(self, call: Call, path: str, settings: Settings, name: str) -> Steps:
        """Follow one object; each event has its ``row`` (seconds, confidence, share) and how many there will be."""
        lane = Lane.of(self.work, Path(path), settings, name)
        if lane.complete:
            yield {"rows": lane.rows, "expected": len(lane.rows)}
            return {"complete": True}
        lane.begin()
        alone = marked_alone(settings, name)
        with open_reader(path, start=settings.start, end=settings.end, max_size=PREVIEW) as reader:
            yield {"rows": [], "expected": reader.frames_expected}
            segmenter = segmenter_for(alone, choose_device(settings.device), reader, (name,))
            carry = None
            for clip in reader:
                call.check()
                masks, carry = segmenter(clip.rgb, carry)
                confidence = segmenter.confidence(carry)[name][-1]
                lane.add(seconds_of(reader, clip), confidence, _small(masks[0, 1].cpu().numpy()))
                yield {"rows": [lane.rows[-1]], "expected": reader.frames_expected}
        lane.end()
        return {"complete": True}

    def style(self, call: Call, path: str, output: str, settings: Settings, resume: bool = False) -> dict[str, Any]:
        """Render a file: the job of ``segnst style``. Events tell stages, frames, warnings and pictures.

        resume  keep a journal beside the output, and go on from the one that is there
        """

        def hear(event: Event) -> None:
            if isinstance(event, Stage):
                call.tell({"stage": event.name})
            elif isinstance(event, Frames):
                call.tell({"done": event.done, "expected": event.expected, "pace": event.pace, "left": event.left})
            elif isinstance(event, Thumbnail):
                call.tell({"picture": jpeg(event.picture)})
            elif isinstance(event, Warned):
                call.tell({"warning": event.message})

        context = Context(hear, thumbnails=PAUSE)
        call.on_cancel = context.cancel
        if call.cancelled.is_set():
            context.cancel()
        spread = Spread(resume=resume)
        report = style_file(path, output, settings, spread=spread, overwrite=True, context=context)
        return {"frames": report.frames, "seconds": report.seconds, "warnings": report.warnings}


def _small(mask: np.ndarray) -> np.ndarray:
    scale = min(1.0, KEPT / max(mask.shape))
    if not np.isfinite(mask).all():
        raise UsageError("The object was lost.")
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA))
