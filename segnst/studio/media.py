"""The desk that decodes: what a file holds, single frames, and the film strip with its scene cuts."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segnst.pixels import to_bytes
from segnst.stabilize.cuts import CutCarry, is_cut
from segnst.studio.desk import Call
from segnst.studio.pictures import frame_at, jpeg, seconds_of
from segnst.video.probe import probe
from segnst.video.read import open_reader

THUMB = 112  # px of the height of a thumbnail in the strip
SCANNED = 600.0  # seconds; longer films are not searched for cuts, because all their frames would have to be decoded
TOLD = 24  # frames between two events of a scan


class MediaDesk:
    """Requests that decode. ``path`` is always one that the server has allowed."""

    def __init__(self, **options: Any) -> None:
        del options  # what other desks need

    def probe(self, call: Call, path: str) -> dict[str, Any]:
        """What a file holds; its first frame is decoded too, so that a file that cannot be read is refused here."""
        info = probe(Path(path))
        first = frame_at(Path(path), 0.0, 64)
        frames = 1 if info.kind == "image" else info.frames
        return {
            "kind": "image" if info.kind == "image" else "video",
            "width": info.width,
            "height": info.height,
            "fps": round(float(info.fps), 4),
            "frames": frames,
            "duration": info.duration,
            "first": first.time,
            "sound": bool(info.of_type("audio")),
            "warnings": list(info.warnings),
        }

    def frame(self, call: Call, path: str, time: float, size: int) -> dict[str, Any]:
        """The frame at a time: JPEG, and its exact time."""
        found = frame_at(Path(path), time, size)
        return {"jpeg": jpeg(found.rgb[0]), "time": found.time}

    def scan(self, call: Call, path: str, count: int) -> Generator[dict[str, Any], None, dict[str, Any]]:
        """Go through a film: its frames' times, its cuts, and ``count`` thumbnails side by side as one JPEG.

        Events hold the times and cuts found since the last one. The answer is the sheet of thumbnails.
        """
        info = probe(Path(path))
        long = info.duration is not None and info.duration > SCANNED
        if long or info.kind == "image":
            thumbs = [self._thumb(frame_at(Path(path), t, 320).rgb[0]) for t in _spread(info.duration or 0.0, count)]
            yield {"times": [], "cuts": []}
            return {"sheet": jpeg(np.hstack(thumbs), 80), "count": len(thumbs), "whole": False}
        kept: list[tuple[int, np.ndarray]] = []
        every, number = 1, 0
        times: list[float] = []
        cuts: list[float] = []
        scene: CutCarry | None = None
        with open_reader(path, max_size=320, threaded=False) as reader:
            for number, clip in enumerate(reader):
                cut, scene = is_cut(clip.rgb, scene)
                times.append(seconds_of(reader, clip))
                if cut:
                    cuts.append(times[-1])
                if number % every == 0:
                    kept.append((number, self._thumb(clip.rgb[0])))
                    if len(kept) == 4 * count:  # enough to choose from, whatever the film's length turns out to be
                        kept, every = kept[::2], 2 * every
                if len(times) >= TOLD:
                    yield {"times": times, "cuts": cuts}
                    times, cuts = [], []
                elif number % 4 == 0:
                    yield {"times": [], "cuts": []}
        yield {"times": times, "cuts": cuts}
        wanted = [(k + 0.5) * (number + 1) / count for k in range(count)]
        chosen = [min(kept, key=lambda one, w=w: abs(one[0] - w))[1] for w in wanted]  # type: ignore[misc]
        return {"sheet": jpeg(np.hstack(chosen), 80), "count": count, "whole": True}

    def _thumb(self, rgb: Any) -> np.ndarray:
        pixels = to_bytes(rgb)
        width = max(1, round(pixels.shape[1] * THUMB / pixels.shape[0]))
        return np.asarray(cv2.resize(pixels, (width, THUMB), interpolation=cv2.INTER_AREA))


def _spread(duration: float, count: int) -> list[float]:
    return [duration * (k + 0.5) / count for k in range(count)] if duration else [0.0]
