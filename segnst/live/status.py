"""What a live run says of itself while it runs, and at its end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from segnst.jobs.events import Event, JobReport

EVERY = 1.0  # seconds between two events


@dataclass(frozen=True, slots=True)
class Live(Event):
    """How a live run is doing; sent about once a second.

    seconds  since the first picture;  frames  pictures shown so far;  pace  pictures a second in the last seconds
    latency  mean over the last seconds, and ``worst``, the largest, in seconds: from when a picture was due or had come
             to when it was given to the outputs
    dropped  pictures that were left out so far
    size     of what is painted, such as ``640x360``;  every  regions are looked for in every so-manieth frame
    plan     what is painted;  view  styled, masks or original
    """

    seconds: float
    frames: int
    pace: float
    latency: float
    worst: float
    dropped: int
    size: str
    every: int
    plan: str
    view: str


@dataclass
class LiveReport(JobReport):
    """What a live run did. Latencies in seconds: mean, the 95th percentile and the largest."""

    source: str
    outputs: list[str]
    frames: int
    dropped: int
    seconds: float
    latency: float
    latency_95: float
    latency_worst: float
    ended: str
    warnings: list[str] = field(default_factory=list)


class Meter:
    """Counts pictures and their latencies, over the last seconds and in all.

    The percentile is of the last ``kept`` pictures, so that memory stays flat.
    """

    def __init__(self, window: float = 3.0, kept: int = 20_000) -> None:
        self._window = window
        self._recent: deque[tuple[float, float]] = deque()
        self._kept: deque[float] = deque(maxlen=kept)
        self._sum = 0.0
        self.frames = 0
        self.largest = 0.0

    def add(self, now: float, latency: float) -> None:
        """A picture was delivered ``now``."""
        self.frames += 1
        self._sum += latency
        self.largest = max(self.largest, latency)
        self._kept.append(latency)
        self._recent.append((now, latency))
        while self._recent[0][0] < now - self._window:
            self._recent.popleft()

    def recent(self, now: float) -> tuple[float, float, float]:
        """Pictures a second, mean and largest latency in the last seconds."""
        seen = [(at, latency) for at, latency in self._recent if at >= now - self._window]
        if not seen:
            return 0.0, 0.0, 0.0
        spans = seen[-1][0] - seen[0][0]
        pace = (len(seen) - 1) / spans if spans > 0 else 0.0
        latencies = [latency for _, latency in seen]
        return pace, sum(latencies) / len(latencies), max(latencies)

    @property
    def mean(self) -> float:
        return self._sum / max(1, self.frames)

    def percentile(self, share: float) -> float:
        """The latency below which ``share`` of the pictures lie."""
        ordered = sorted(self._kept)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
