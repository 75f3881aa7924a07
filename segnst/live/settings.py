"""Settings of ``segnst live`` that a run from file to file does not have."""

from __future__ import annotations

from dataclasses import dataclass

from segnst.config import FILES, RUNNING
from segnst.setting import check, setting


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How a live run keeps pace, and when it ends. Raises UsageError for a value that its field does not allow."""

    latency: float = setting(
        0.3,
        "Seconds that a picture may lag behind its source. Before it lags more, frames are dropped, then frames are "
        "painted smaller, then regions are looked for less often.",
        metavar="SECONDS",
        group=RUNNING,
        min=0.02,
        max=60,
    )
    reconnect: float = setting(
        10.0,
        "When a camera or stream ends, or sends nothing for 5 seconds, try to open it again for this many seconds; 0: "
        "end at once.",
        metavar="SECONDS",
        group=RUNNING,
        min=0,
        max=86_400,
    )
    seconds: float | None = setting(
        None, "End after this many seconds.", metavar="SECONDS", group=RUNNING, above=0, max=1e9
    )
    rate: float | None = setting(
        None,
        "Take at most this many frames a second from the source.",
        metavar="N",
        group=FILES,
        above=0,
        max=1000,
        options=("--fps",),
    )

    def __post_init__(self) -> None:
        check(self)
