"""Sound of a live output: encoded anew, at the times of the source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from segnst.video.layouts import named

# Gaps and overlaps up to this many seconds are jitter of time stamps.
_JITTER = 0.1
_LONGEST_GAP = 30.0


class SoundEncoder:
    """Encodes pieces of sound that come with their times. Gaps become silence, and what overlaps is left out.

    stream  of the output, with rate and layout set
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._context = stream.codec_context
        self._rate = int(self._context.sample_rate)
        self._channels = int(self._context.layout.nb_channels)
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[object, ...] = ()
        self._waiting = np.zeros((self._channels, 0), np.float32)
        self._sent = 0  # samples given to the encoder

    def feed(self, frame: av.AudioFrame, time: float) -> Iterator[Any]:
        """Yield the packets that are ready after a piece of sound that begins at ``time`` (seconds)."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or shape != self._shape:
            self._shape = shape
            self._resampler = av.AudioResampler("fltp", named(self._context.layout) or "stereo", self._rate)
        frame.pts = None
        pieces = [each.to_ndarray() for each in self._resampler.resample(frame)]
        if not pieces:
            return
        samples = np.concatenate(pieces, 1)
        begins = round(time * self._rate)
        gap = begins - (self._sent + self._waiting.shape[1])
        if gap < -_JITTER * self._rate:
            samples = samples[:, -gap:]
        elif gap > _JITTER * self._rate:
            if gap > _LONGEST_GAP * self._rate:
                yield from self._encode(whole=True)
                self._sent = begins
            else:
                self._waiting = np.pad(self._waiting, ((0, 0), (0, gap)))
        self._waiting = np.concatenate((self._waiting, samples), 1)
        yield from self._encode(whole=False)

    def flush(self) -> Iterator[Any]:
        """Yield the last packets."""
        yield from self._encode(whole=True)
        yield from self._stream.encode(None)

    def _encode(self, *, whole: bool) -> Iterator[Any]:
        size = self._context.frame_size or 1024
        while self._waiting.shape[1] >= size or (whole and self._waiting.shape[1]):
            piece, self._waiting = self._waiting[:, :size], self._waiting[:, size:]
            form = self._context.format
            data = np.ascontiguousarray(piece if form.is_planar else piece.T.reshape(1, -1), np.float32)
            frame = av.AudioFrame.from_ndarray(data, "fltp" if form.is_planar else "flt", self._context.layout.name)
            frame.sample_rate = self._rate
            frame.pts = self._sent
            self._sent += piece.shape[1]
            yield from self._stream.encode(frame)
