"""Live outputs that are encoded: standard output, a stream, a file."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from segnst import temporaries
from segnst.files import output_error
from segnst.live.sinks.base import Sink, Spec
from segnst.live.sinks.sound import SoundEncoder
from segnst.video import color, pipes, stdout
from segnst.video.codecs import choose
from segnst.video.guard import LIBRARY_ERRORS
from segnst.video.layouts import for_channels

_BASE = Fraction(1, 90_000)
_SOUND = {"webm": "libopus", "nut": "aac"}
_RATES = (44_100, 48_000)
# A frame without time stamps is repeated for at most this many seconds: longer gaps are not filled.
_LONGEST_GAP = 10


class EncodedSink(Sink):
    """Encodes pictures and sound at once, without looking ahead.

    target  an address, or what takes the bytes;  muxer  FFmpeg's name of the format
    """

    def __init__(self, name: str, target: Any, muxer: str) -> None:
        super().__init__(name)
        self._target, self._muxer = target, muxer
        self._output: Any = None
        self._stream: Any = None
        self._sound: SoundEncoder | None = None
        self._size = (0, 0)
        self._last = -1
        self._count = 0  # frames of an output without time stamps
        self._before: Any = None

    @property
    def _even(self) -> bool:
        """Whether the format has no time stamps, so that frames are repeated or left out."""
        return self._muxer == "yuv4mpegpipe"

    def begin(self, spec: Spec) -> None:
        settings = spec.settings
        encoding = choose(settings.codec, self._muxer, "yuv420p", 8, settings.crf, settings.preset or "veryfast")
        options = dict(encoding.options)
        if encoding.encoder in ("libx264", "libx265"):
            options["tune"] = "zerolatency"
            if settings.crf is None:
                options["crf"] = "23"
        elif encoding.encoder.startswith("libvpx"):
            options |= {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
        self._rate = spec.rate.limit_denominator(1001)
        self._size = (spec.size[0] // 2 * 2, spec.size[1] // 2 * 2)
        self._output = av.open(self._address(), "w", format=self._muxer, container_options=self._options())
        self._stream = self._output.add_stream(
            encoding.encoder,
            rate=self._rate,
            options=options,
            time_base=1 / self._rate if self._even else _BASE,
            width=self._size[0],
            height=self._size[1],
        )
        context = self._stream.codec_context
        context.pix_fmt = "yuv420p"
        context.gop_size = max(1, round(2 * self._rate))  # somebody who comes in later waits at most two seconds
        context.color_range, context.colorspace = color.RANGE_LIMITED, self._matrix
        if spec.sound is not None and settings.audio and not self._even:
            rate, channels = spec.sound
            codec = _SOUND.get(self._muxer, "aac")
            rate = rate if rate in _RATES and codec != "libopus" else 48_000
            stream = self._output.add_stream(codec, rate=rate, bit_rate=128_000)
            stream.codec_context.layout = for_channels(min(channels, 2)) or "stereo"
            self._sound = SoundEncoder(stream)
        self._output.start_encoding()

    @property
    def _matrix(self) -> int:
        return color.SPACE_709 if self._size[1] >= 720 else color.SPACE_170M

    def _address(self) -> Any:
        return self._target() if callable(self._target) else self._target

    def _options(self) -> dict[str, str]:
        options = {"flush_packets": "1"}
        if self._muxer == "mp4" and not isinstance(self, FileSink):
            options["movflags"] = "frag_keyframe+empty_moov+default_base_moof"
        if self._muxer == "mpegts":
            options |= {"muxdelay": "0", "muxpreload": "0"}
        return options

    def picture(self, pixels: np.ndarray, time: float) -> None:
        width, height = self._size
        whole = np.ascontiguousarray(pixels[:height, :width])
        frame = av.VideoFrame.from_ndarray(whole, "rgb24").reformat(
            format="yuv420p",
            dst_colorspace=self._matrix,
            dst_color_range=color.RANGE_LIMITED,
        )
        if self._even:
            self._evenly(frame, round(time * self._rate))
            return
        self._last = max(self._last + 1, round(time / _BASE))
        frame.pts, frame.time_base = self._last, _BASE
        self._mux(self._stream.encode(frame))

    def _evenly(self, frame: Any, number: int) -> None:
        if number - self._count > _LONGEST_GAP * self._rate or self._before is None:
            self._count = number
        while self._count < number:
            self._write_even(self._before)
        if self._count == number:
            self._write_even(frame)
        self._before = frame

    def _write_even(self, frame: Any) -> None:
        frame.pts, frame.time_base = self._count, 1 / self._rate
        self._count += 1
        self._mux(self._stream.encode(frame))

    def sound(self, frame: av.AudioFrame, time: float) -> None:
        if self._sound is not None:
            self._mux(self._sound.feed(frame, time))

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            self._output.mux_one(packet)

    def finish(self) -> None:
        if self._sound is not None:
            self._mux(self._sound.flush())
        self._mux(self._stream.encode(None))
        output, self._output = self._output, None
        output.close()

    def abort(self) -> None:
        output, self._output = self._output, None
        if output is not None:
            with suppress(*LIBRARY_ERRORS):
                output.close()


class StandardSink(EncodedSink):
    """Standard output."""

    def __init__(self, muxer: str) -> None:
        super().__init__(pipes.STANDARD, stdout.output, muxer)


class FileSink(EncodedSink):
    """A file, which gets its name when it is complete."""

    def __init__(self, path: Path, muxer: str, *, overwrite: bool) -> None:
        super().__init__(str(path), None, muxer)
        self._path, self._overwrite = path, overwrite
        self._temporary: Path | None = None

    def _address(self) -> Any:
        self._temporary = temporaries.create(self._path)
        return str(self._temporary.absolute())

    def finish(self) -> None:
        super().finish()
        assert self._temporary is not None
        try:
            temporaries.put(self._temporary, self._path, replace=self._overwrite)
        except OSError as error:
            raise output_error(error, self._path) from error

    def abort(self) -> None:
        super().abort()
        if self._temporary is not None:
            temporaries.remove(self._temporary)
