"""Receiving: a thread that decodes a source and always has its latest picture, and hands on its sound."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from segnst.errors import InputError, SegnstError
from segnst.live.pacing import Due, Thinned
from segnst.live.sources import STALL, Source, refusal
from segnst.video import pipes

# Jumps of the source's times by more than this (seconds) mean that it counts anew.
_JUMP = 5.0
# Seconds by which sound may come before it is due: to wait for it would hold the picture up.
_AHEAD = 1.0
_BETWEEN = 0.5  # seconds between two tries to open a source again


@dataclass(frozen=True, slots=True)
class Arrived:
    """A picture that has come.

    time  seconds since the first picture of the run;  due  when it is to be shown, by ``time.monotonic``
    """

    frame: av.VideoFrame
    time: float
    due: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What a source turned out to be: frames a second, pixel aspect, and the rate and channels of its sound, if any."""

    rate: Fraction
    aspect: Fraction | None
    sound: tuple[int, int] | None


class Receiver:
    """Receives ``source`` in a thread until it ends for good.

    hear       called in that thread with each frame of sound and its time in seconds
    latency    seconds by which decoding may lag before the decoder leaves frames out
    reconnect  seconds to try to open the source again
    """

    def __init__(
        self,
        source: Source,
        hear: Callable[[av.AudioFrame, float], None],
        *,
        latency: float,
        reconnect: float,
        rate: float | None = None,
    ) -> None:
        self.source = source
        self.dropped = 0  # pictures that nobody took in time
        self.received = 0
        self.facts: Facts | None = None
        self.ended = ""  # why there will be no more, in words
        self.error: BaseException | None = None
        self.words: deque[str] = deque()  # to be said
        self.heard_at = time.monotonic()  # when anything came last
        self._hear, self._latency, self._reconnect = hear, latency, reconnect
        self._thinned = Thinned(rate)
        self._due = Due(paced=source.paced, waits=source.kind == "pipe")
        self._began: float | None = None
        self._offset: float | None = None  # to add to the times of the source
        self._time = 0.0
        self._latest: Arrived | None = None
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="segnst-live", daemon=True)

    def start(self) -> None:
        """Begin to receive."""
        self._thread.start()

    def take(self, timeout: float) -> Arrived | None:
        """The latest picture that was not taken yet; waits for one. None: there is none, see ``over``."""
        with self._news:
            self._news.wait_for(lambda: self._latest is not None or self._over, timeout)
            latest, self._latest = self._latest, None
            return latest

    @property
    def over(self) -> bool:
        """Whether everything that came was taken and nothing will come any more."""
        return self._over and self._latest is None

    def close(self) -> None:
        """Stop; waits a short while for the thread, which may hang in a library."""
        self._stop.set()
        pipes.end(Path(self.source.name))
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        try:
            self._receive()
        except BaseException as error:  # noqa: BLE001 - it is raised again by the loop
            self.error = error
        finally:
            with self._news:
                self._over = True
                self._news.notify_all()

    def _receive(self) -> None:
        while not self._stop.is_set():
            container = self._opened()
            if container is None:
                return
            with container:
                why = self._play(container)
            if self._stop.is_set():
                return
            if not self.source.returns or not self._reconnect:
                self.ended = f"{self.source.name} {why}"
                return
            self.words.append(f"{self.source.name} {why} after {self._time:.1f} s; trying to open it again.")
            self._due.restart()
            self._offset = None

    def _opened(self) -> av.container.InputContainer | None:
        """Open the source, again and again for a while. Raises InputError if it cannot be opened the first time."""
        again = self._began is not None
        began = time.monotonic()
        deadline = began + (self._reconnect if again else max(self._reconnect, 2 * STALL))
        said = again
        while not self._stop.is_set():
            try:
                container = self.source.open(max(0.5, deadline - time.monotonic()) if self.source.returns else STALL)
            except (av.FFmpegError, OSError, ValueError, SegnstError) as error:
                refused = refusal(self.source, error)
                final = isinstance(error, av.error.ProtocolNotFoundError | av.error.InvalidDataError | SegnstError)
                if not isinstance(error, av.error.ExitError | TimeoutError):  # it is not there, and not only silent
                    deadline = min(deadline, began + self._reconnect)
                if not self.source.returns or (final and not again) or time.monotonic() + _BETWEEN >= deadline:
                    if not again:
                        raise refused from error
                    self.ended = f"{self.source.name} did not come back within {self._reconnect:g} s"
                    return None
                if not said:
                    self.words.append(f"{refused} Waiting for it.")
                    said = True
                self._stop.wait(_BETWEEN)
                continue
            if again:
                self.words.append(f"{self.source.name} is back.")
            return container
        return None

    def _play(self, container: av.container.InputContainer) -> str:
        """Decode until the end; returns what happened, in words."""
        film = self._film(container)
        sound = container.streams.best("audio", related=film)
        context: Any = film.codec_context
        context.thread_type = "SLICE"  # threads for whole frames would delay them
        rate = film.average_rate or film.guessed_rate or Fraction(25)
        channels = None
        voice: Any = sound.codec_context if sound is not None else None
        if voice is not None and voice.sample_rate:
            channels = (voice.sample_rate, max(1, voice.layout.nb_channels))
        if self.facts is None:
            self.facts = Facts(rate, film.sample_aspect_ratio, channels)
        for stream in container.streams:
            if stream not in (film, sound):
                stream.discard = av.stream.Discard.all
        packets = container.demux([each for each in (film, sound) if each is not None])
        while not self._stop.is_set():
            try:
                packet = next(packets, None)
                if packet is None:
                    return "has ended"
                frames = packet.decode()
            except (av.error.ExitError, TimeoutError):
                return f"sent nothing for {STALL:g} seconds"
            except (av.error.EOFError, StopIteration):
                return "has ended"
            except av.error.InvalidDataError:
                continue  # a damaged packet
            except (av.FFmpegError, OSError) as error:
                return f"broke off ({getattr(error, 'strerror', None) or error})"
            self.heard_at = time.monotonic()
            if packet.stream is film and not frames and context.skip_frame not in ("DEFAULT", "NONE") and packet.size:
                self.dropped += 1
            for frame in frames:
                self._frame(frame, context)
        return "was left"

    def _film(self, container: av.container.InputContainer) -> av.VideoStream:
        """The largest stream of pictures that is not a cover. Raises InputError."""
        films = [s for s in container.streams.video if s.codec_context and not s.disposition & Disposition.attached_pic]
        if not films:
            raise InputError(f"{self.source.name} has no pictures that can be decoded.")
        return max(films, key=lambda each: each.codec_context.width * each.codec_context.height)

    def _frame(self, frame: Any, context: Any) -> None:
        now = time.monotonic()
        if frame.pts is None or self._stop.is_set():
            return
        own = float(frame.pts * frame.time_base)
        if self._offset is None:
            if self._began is None:
                self._began = now
                self._offset = -own
            else:
                self._offset = now - self._began - own
        moment = own + self._offset
        if self.source.returns and abs(moment - (now - (self._began or now))) > _JUMP + 10 * self._latency:
            self._due.restart()
            self._offset = now - (self._began or now) - own
            moment = own + self._offset
        self._time = max(self._time, moment)
        sound = isinstance(frame, av.AudioFrame)
        if sound and not self.source.paced:  # pictures are measured by each other
            self._hear(frame, moment)
            return
        due = self._due.of(moment, now)
        ahead = due - now - (_AHEAD if sound else 0.0)
        if self.source.paced and ahead > 0:
            self._stop.wait(ahead)
            self.heard_at = time.monotonic()
        if sound:
            self._hear(frame, moment)
            return
        self._keep_up(context, now - due)
        self.received += 1
        if not self._thinned.takes(moment):
            return
        with self._news:
            self.dropped += self._latest is not None
            self._latest = Arrived(frame, moment, due)
            self._news.notify_all()

    def _keep_up(self, context: Any, late: float) -> None:
        """Let the decoder leave frames out while it cannot keep pace."""
        wanted = "NONKEY" if late > 3 * self._latency else "NONREF" if late > self._latency else None
        if wanted is not None:
            context.skip_frame = wanted
        elif late < self._latency / 2 and context.skip_frame not in ("DEFAULT", "NONE"):
            context.skip_frame = "DEFAULT"

    def check(self) -> None:
        """Raise what ended the thread. Raises InputError if a camera hangs."""
        if self.error is not None:
            raise self.error
        silent = time.monotonic() - self.heard_at
        if self.source.kind == "camera" and silent > 2 * STALL + self._reconnect and not self._over:
            raise InputError(f"{self.source.name} sends nothing and cannot be opened again.")
