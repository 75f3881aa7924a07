"""How well many workers are used, by simulated times: ``python recipes/simulate_workers.py [--workers 100]``.

A film of random scenes is divided as ``segnst style --workers`` and ``--ray`` divide one, its chunks become known as
the first pass reaches them, and each goes to the first worker that is free. The efficiency is the time that one worker
would take without any of this, divided by the time of all workers together from the beginning to the joined film.

Take ``--seconds-a-frame`` and ``--decoded-a-second`` from a measurement on the machines that you mean.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random


def scenes(frames: int, median: float, spread: float, chance: random.Random) -> list[int]:
    """Lengths of scenes in frames, log-normal around ``median``, that sum to ``frames``."""
    found: list[int] = []
    while (left := frames - sum(found)) > 0:
        found.append(min(left, max(1, round(median * math.exp(spread * chance.gauss(0, 1))))))
    return found


def divide(lengths: list[int], most: int, warm: int) -> list[tuple[int, int, int]]:
    """(frames to warm up, frames to keep, number of the last frame that the first pass must have seen)."""
    chunks: list[tuple[int, int, int]] = []
    kept = before = ahead = 0
    full, end = most, 0.9 * sum(lengths)
    for length in lengths:
        if 2 * kept >= most:
            chunks.append((ahead, kept, before))
            kept = ahead = 0
            most = full if before < end else max(full // 3, 2 * warm)
        for _ in range(length):
            if kept == most:
                chunks.append((ahead, kept, before))
                kept, ahead = 0, warm
                most = full if before < end else max(full // 3, 2 * warm)
            kept, before = kept + 1, before + 1
    return [*chunks, (ahead, kept, before)]


def simulate(given: argparse.Namespace, chance: random.Random) -> tuple[float, float, int]:
    """Seconds of the whole run, its efficiency, and the number of chunks."""
    frames = round(given.minutes * 60 * given.fps)
    chunks = divide(scenes(frames, given.scene * given.fps, 0.9, chance), given.chunk, given.warm)
    free = [given.start * chance.uniform(0.8, 1.2) for _ in range(given.workers)]
    heapq.heapify(free)
    for ahead, kept, known in chunks:
        begins = max(heapq.heappop(free), known / given.decoded_a_second)
        cost = (ahead + kept) * given.seconds_a_frame * chance.uniform(1 - given.noise, 1 + given.noise)
        heapq.heappush(free, begins + cost + given.overhead)
    whole = max(max(free), frames / given.decoded_a_second) + frames / given.joined_a_second
    return whole, frames * given.seconds_a_frame / given.workers / whole, len(chunks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=120, help="length of the film")
    parser.add_argument("--fps", type=float, default=24)
    parser.add_argument("--scene", type=float, default=4, help="median seconds of a scene")
    parser.add_argument("--chunk", type=int, default=240, help="most frames of a chunk")
    parser.add_argument("--warm", type=int, default=16, help="frames before a chunk inside of a scene")
    parser.add_argument("--seconds-a-frame", type=float, default=10)
    parser.add_argument("--decoded-a-second", type=float, default=50, help="frames that the first pass looks at")
    parser.add_argument("--joined-a-second", type=float, default=2000, help="frames that joining copies")
    parser.add_argument("--start", type=float, default=20, help="seconds until a worker is ready")
    parser.add_argument("--overhead", type=float, default=3, help="seconds that a chunk costs beside its frames")
    parser.add_argument("--noise", type=float, default=0.15, help="how much chunks differ in their time a frame")
    given = parser.parse_args()
    runs = [simulate(given, random.Random(seed)) for seed in range(5)]
    hours = sum(run[0] for run in runs) / len(runs) / 3600
    least, mean = min(run[1] for run in runs), sum(run[1] for run in runs) / len(runs)
    print(
        f"{given.workers} workers, {runs[0][2]} chunks: {hours:.2f} h, efficiency {mean:.3f} (of 5, least {least:.3f})"
    )


if __name__ == "__main__":
    main()
