"""Kill a run with SIGKILL at random moments, resume it each time, and compare the result with an unbroken run.

    python recipes/kill_and_resume.py CLIP -s STYLE [--kills 10] [--chunk 16] [--seed 0] [OPTIONS OF segnst style]

Prints a line for each kill, whether the decoded frames and their times are equal, and how many seconds were lost for
each kill: the time of all runs together beyond that of the unbroken one. Most of it is starting Python and loading the
weights again, which is measured too.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av

from segnst.jobs.chunks.listing import look_at
from segnst.jobs.chunks.place import journal_path


def frames_of(path: Path) -> list[tuple[str, Fraction]]:
    """(SHA-256 of the decoded samples, time in seconds) of every frame."""
    with av.open(str(path)) as file:
        return [
            (hashlib.sha256(f.to_ndarray().tobytes()).hexdigest(), (f.pts or 0) * Fraction(f.time_base or 1))
            for f in file.decode(video=0)
        ]


def start(clip: Path, style: str, output: Path, chunk: int, more: list[str]) -> subprocess.Popen[bytes]:
    """The command, as a process of its own."""
    command = [sys.executable, "-m", "segnst", "style", str(clip), "-s", style, "-o", str(output), "--resume"]
    return subprocess.Popen([*command, "--chunk", str(chunk), "-q", *more])


def whole(clip: Path, style: str, output: Path, chunk: int, more: list[str]) -> float:
    """Run the command to its end; return the seconds that it took."""
    began = time.monotonic()
    if start(clip, style, output, chunk, more).wait():
        sys.exit("The run failed.")
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("-s", "--style", required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--chunk", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    given, more = parser.parse_known_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = min(given.chunk, 2)
        loading = whole(given.clip, given.style, folder / "load.mp4", first, [*more, "--end", "0.01"])
        unbroken = whole(given.clip, given.style, folder / "unbroken.mp4", given.chunk, more)
        output, total, kills = folder / "killed.mp4", 0.0, 0
        work = max(unbroken - loading, 0.1)
        print(f"loading {loading:.1f} s, unbroken {unbroken:.1f} s")
        while True:
            run = start(given.clip, given.style, output, given.chunk, more)
            began = time.monotonic()
            moment = loading + chance.uniform(-0.3 * loading, 1.6 * work / given.kills)
            try:
                run.wait(None if kills == given.kills else moment)
            except subprocess.TimeoutExpired:
                run.kill()  # SIGKILL
                run.wait()
            total += time.monotonic() - began
            if output.exists():
                break
            if run.returncode != -9:
                sys.exit(f"The run ended with {run.returncode}.")
            kills += 1
            journal = journal_path(output)
            frames = look_at(journal).frames if journal.is_dir() else 0
            print(f"kill {kills} after {moment:.2f} s: {frames} frames are in the journal", flush=True)
        equal = frames_of(output) == frames_of(folder / "unbroken.mp4")
        left = sorted(p.name for p in folder.iterdir())
        print(f"{kills} kills; {len(frames_of(output))} frames, equal to the unbroken run: {equal}; left behind: "
              f"{[n for n in left if not n.endswith('.mp4')] or 'nothing'}")  # fmt: skip
        lost = (total - unbroken) / max(kills, 1)
        print(f"{lost:.1f} s lost for each kill, {loading:.1f} s of them for starting again")
        sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
