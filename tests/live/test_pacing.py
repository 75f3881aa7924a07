"""The arithmetic of keeping pace, with a clock of the test's own."""

from __future__ import annotations

from itertools import pairwise

from segnst.live.pacing import LADDER, Due, Effort, Governor, Thinned
from segnst.live.status import Meter


def test_a_file_is_due_at_its_own_pace() -> None:
    due = Due(paced=True)
    assert [due.of(time, now) for time, now in ((0.0, 100.0), (0.1, 100.01), (0.2, 100.5))] == [100.0, 100.1, 100.2]


def test_a_pipe_that_stalls_makes_later_frames_due_later() -> None:
    due = Due(paced=True, waits=True)
    due.of(0.0, 100.0)
    assert due.of(0.1, 110.0) == 110.0
    assert abs(due.of(0.2, 110.01) - 110.1) < 1e-9


def test_frames_of_a_camera_are_due_when_the_fastest_way_would_have_brought_them() -> None:
    due = Due(paced=False)
    assert due.of(0.0, 100.4) == 100.4
    assert abs(due.of(0.1, 100.1) - 100.1) < 1e-9  # this one came faster, and is the measure from now on
    late = due.of(1.0, 101.5)
    assert abs(late - 101.0) < 0.01


def test_clocks_that_differ_are_no_lag() -> None:
    due = Due(paced=False)
    lags = []
    for n in range(20_000):  # the sender's clock is slower by a twentieth of a percent
        now = 100.0 + n * 0.0666667 * 1.0005
        lags.append(now - due.of(n * 0.0666667, now))
    assert max(lags) < 0.01


def _run(governor: Governor, cost: float, begins: float, seconds: float, fps: float = 10) -> list[tuple[float, Effort]]:
    """Frames whose latency is ``cost`` at the full size, and falls with the area; the changes and when they came."""
    changes = []
    for n in range(round(seconds * fps)):
        now = begins + n / fps
        effort = governor.effort
        change = governor.observe(cost * effort.scale**2 / effort.every**0.5, now)
        if change is not None:
            changes.append((now, change))
    return changes


def test_effort_falls_until_the_latency_holds_and_stays_there() -> None:
    governor = Governor(0.3)
    changes = _run(governor, 1.0, 0, 60)
    assert governor.effort.scale**2 <= 0.3 < 4 * governor.effort.scale**2
    assert changes[0][0] < 1.0, "it is noticed within a second"
    assert [c.scale for _, c in changes] == sorted((c.scale for _, c in changes), reverse=True)


def test_size_goes_first_and_looks_for_regions_last() -> None:
    kinds = [(effort.scale < 1, effort.every > 1) for effort in LADDER]
    assert kinds == sorted(kinds)
    governor = Governor(0.3)
    _run(governor, 100.0, 0, 60)
    assert governor.exhausted and governor.effort == LADDER[-1]


def test_effort_comes_back_when_the_machine_is_free_again() -> None:
    governor = Governor(0.3)
    _run(governor, 1.5, 0, 30)
    assert governor.effort.scale < 1
    _run(governor, 0.05, 30, 120)
    assert governor.effort == Effort()


def test_a_try_that_failed_is_not_repeated_soon() -> None:
    """At one step the latency is far below the limit, and at the next above it."""
    governor = Governor(0.3, (Effort(1.0), Effort(0.2)))
    changes = _run(governor, 0.4, 0, 600)
    tries = [now for now, effort in changes if effort.scale == 1]
    pauses = [b - a for a, b in pairwise(tries)]
    assert len(tries) >= 3
    assert pauses[-1] > 3 * pauses[0]


def test_one_slow_frame_changes_nothing() -> None:
    governor = Governor(0.3)
    assert [governor.observe(9.0 if n == 7 else 0.1, n / 10) for n in range(30)] == [None] * 30


def test_frames_are_thinned_evenly() -> None:
    def kept(fps: float, rate: float | None) -> list[float]:
        thinned = Thinned(rate)
        return [n / fps for n in range(round(10 * fps)) if thinned.takes(n / fps)]

    assert len(kept(30, None)) == 300
    assert len(kept(15, 15)) == 150
    assert abs(len(kept(30, 15)) - 150) <= 1
    assert abs(len(kept(29.97, 12)) - 120) <= 2
    gaps = [b - a for a, b in pairwise(kept(30, 12))]
    assert max(gaps) < 0.11 and min(gaps) > 0.06


def test_the_meter_counts_the_last_seconds_and_all() -> None:
    meter = Meter(window=3)
    for n in range(100):
        meter.add(n / 10, 0.1 if n < 50 else 0.3)
    pace, mean, worst = meter.recent(9.9)
    assert (round(pace, 3), round(mean, 3), worst) == (10.0, 0.3, 0.3)
    assert (meter.frames, round(meter.mean, 3), meter.largest) == (100, 0.2, 0.3)
    assert meter.percentile(0.95) == 0.3
    assert meter.recent(99) == (0, 0, 0)
