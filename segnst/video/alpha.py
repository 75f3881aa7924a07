"""Write video with transparency: ProRes 4444 in mov, FFV1 in mkv, VP9 in webm.

The files have no sound, because they are meant to be laid over a video that has it.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from segnst.errors import OutputError
from segnst.video.codecs import available
from segnst.video.guard import writing
from segnst.video.source import file_name

# suffix: encoder, pixel format, options
FORMATS = {
    ".mov": ("prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}),
    ".mkv": ("ffv1", "bgra", {"level": "3"}),
    ".webm": ("libvpx-vp9", "yuva420p", {"crf": "20", "b": "0", "auto-alt-ref": "0", "cpu-used": "4"}),
}


class AlphaVideo:
    """Writes RGBA frames; a context manager. The suffix of ``path`` must be .mov, .mkv or .webm.

    size       (height, width) in pixels
    rate       frames per second
    time_base  seconds per unit of the frames' pts

    Raises OutputError if this PyAV lacks the encoder or the file cannot be written.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, time_base: Fraction) -> None:
        encoder, pixel_format, options = FORMATS[path.suffix.lower()]
        if not available(encoder):
            raise OutputError(f"This PyAV has no encoder {encoder}, which {path.name} needs.")
        self._path, self._time_base = path, time_base
        with writing(path):
            self._output = av.open(file_name(path), "w")
            stream: Any = self._output.add_stream(encoder, rate=rate.limit_denominator(100_000), options=options)
            stream.width, stream.height, stream.pix_fmt = size[1], size[0], pixel_format
            stream.codec_context.time_base = time_base
            self._stream = stream
        self._first: int | None = None

    def write(self, rgba: np.ndarray, pts: int) -> None:
        """Append a frame, uint8 [H,W,4], with its pts in ``time_base``; the first frame is moved to time 0."""
        self._first = pts if self._first is None else self._first
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgba), "rgba")
        frame.pts, frame.time_base = pts - self._first, self._time_base
        with writing(self._path):
            self._output.mux(self._stream.encode(frame))

    def __enter__(self) -> AlphaVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._output.close()
            return
        with writing(self._path):
            self._output.mux(self._stream.encode(None))
            self._output.close()
