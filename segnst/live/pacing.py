"""Keeping pace: when each frame is due, and how much work a frame may cost. Plain arithmetic, without a clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

# The clocks of a sender and of this machine may differ by this share.
_DRIFT = 0.001
# A pipe that delivers a frame later than this (seconds) has stalled; its later frames are due later.
_STALL = 0.25


class Due:
    """When the frames of a source are due, in seconds of this machine's clock.

    paced  the source delivers frames earlier than they should be shown (a file): each is due at its own time after the
           first. Otherwise frames come as they are made (a camera), and a frame is due when it would have come by the
           fastest way that frames have come so far
    waits  a late frame of a paced source was late already when it came (a pipe), so that later frames are due later
    """

    def __init__(self, *, paced: bool, waits: bool = False) -> None:
        self._paced, self._waits = paced, waits
        self._anchor: float | None = None  # the clock at time 0 of the source
        self._last = 0.0

    def of(self, time: float, now: float) -> float:
        """When a frame is due that shows ``time`` (seconds of the source) and has come ``now``."""
        if self._anchor is None:
            self._anchor = now - time
        elif not self._paced:
            self._anchor = min(self._anchor + _DRIFT * max(0.0, now - self._last), now - time)
        elif self._waits and now - time - self._anchor > _STALL:
            self._anchor = now - time
        self._last = now
        return self._anchor + time

    def restart(self) -> None:
        """The source begins again, with other times."""
        self._anchor = None


@dataclass(frozen=True, slots=True)
class Effort:
    """What a frame may cost: ``scale`` of its sides in (0,1], and a look for regions in one of ``every`` frames."""

    scale: float = 1.0
    every: int = 1

    def __str__(self) -> str:
        words = [f"painted at {100 * self.scale:.0f} % of the size"] if self.scale < 1 else []
        if self.every > 1:
            words.append(f"regions looked for in every {self.every}th frame")
        return " and ".join(words) or "the full size, and regions looked for in every frame"


LADDER = (
    *(Effort(scale) for scale in (1.0, 0.8, 0.64, 0.5, 0.4, 0.32, 0.25)),
    *(Effort(0.25, every) for every in (2, 4, 8)),
)  # fmt: skip
_SEEN = 5  # frames to judge by
_PAUSE = 5.0  # seconds of good pace before more effort is tried
_LONGEST = 120.0  # the longest such pause, after tries that failed


class Governor:
    """Chooses the effort by the latency of the last frames: less at once when it is too high, more after a while.

    limit   seconds
    ladder  efforts, the greatest first
    """

    def __init__(self, limit: float, ladder: tuple[Effort, ...] = LADDER) -> None:
        self._limit, self._ladder = limit, ladder
        self._step = 0
        self._seen: deque[float] = deque(maxlen=_SEEN)
        self._skip = 1  # the first frame of another size takes longer
        self._good_since: float | None = None
        self._pause = _PAUSE
        self._raised: float | None = None  # when more effort was tried

    @property
    def effort(self) -> Effort:
        """The present effort."""
        return self._ladder[self._step]

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing left to save."""
        return self._step == len(self._ladder) - 1

    def settle(self) -> None:
        """Something else made the next frame slow (another plan); do not judge by it."""
        self._skip, self._good_since = 1, None
        self._seen.clear()

    def observe(self, latency: float, now: float) -> Effort | None:
        """Take the latency of a frame that was delivered ``now``; return the new effort if it changes. In seconds."""
        if self._skip:
            self._skip -= 1
            return None
        self._seen.append(latency)
        late = sum(each > self._limit for each in self._seen)
        far = [each > 2 * self._limit for each in self._seen]
        if late > _SEEN // 2 or far[-2:] == [True, True]:
            return self._less(now)
        if max(self._seen) > 0.5 * self._limit:
            self._good_since = None
        elif self._good_since is None:
            self._good_since = now
        elif self._step and now - self._good_since >= self._pause:
            self._raised = now
            return self._change(self._step - 1)
        return None

    def _less(self, now: float) -> Effort | None:
        if self.exhausted:
            return None
        if self._raised is not None and now - self._raised < 2 * _PAUSE:
            self._pause = min(_LONGEST, 2 * self._pause)  # that try failed, so wait longer before the next one
        self._raised = None
        median = sorted(self._seen)[len(self._seen) // 2]
        # The cost of a frame falls with its area, by about a third a step.
        steps = 1 + (median > 2 * self._limit) + (median > 4 * self._limit)
        return self._change(min(len(self._ladder) - 1, self._step + steps))

    def _change(self, step: int) -> Effort:
        self._step = step
        self.settle()
        return self.effort


class Thinned:
    """Lets at most ``rate`` frames a second through (None: all)."""

    def __init__(self, rate: float | None) -> None:
        self._step = None if rate is None else 1 / rate
        self._next = float("-inf")

    def takes(self, time: float) -> bool:
        """Whether to take the frame that shows ``time``, in seconds of the source."""
        if self._step is None:
            return True
        if time < self._next - 0.25 * self._step and time > self._next - 10 * self._step:
            return False
        # Frames that come at other times than they are wanted do not shift those that follow.
        self._next = (self._next if abs(time - self._next) < self._step else time) + self._step
        return True
