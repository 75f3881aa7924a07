"""``make fuzz``: files changed at random through the library, in child processes with limits on time and memory.

    python -m tests.fuzz --count 10000 --seed 1 --keep work/fuzz

Prints how many were tried, read, refused with one of segnst's own errors, and failed: another exception, a crash, too
much memory, too much time. Ends with 1 where something failed; those files are kept. A seed makes the same files again.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import cv2
import torch

from segnst.errors import SegnstError
from tests.fuzz.cases import Case, cases
from tests.fuzz.mutate import mutant

BATCH = 25  # files in one child
SECONDS = 60  # of one file, on a machine that has other things to do
CPU_SECONDS = 120  # of one child
MEMORY = 3 << 30  # bytes that a child may take beyond what it begins with
OK, REFUSED, FAILED = "ok", "refused", "failed"


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _child(batch: list[tuple[Case, bytes]], folder: Path, report: int) -> None:
    """Read the files of a batch; one letter a file to ``report``."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))
    if sys.platform == "linux":  # other systems do not tell how much there is already
        room = _address_space() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
    log = os.open(folder / "stderr", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(log, 2)
    for case, data in batch:
        path = folder / case.name
        path.write_bytes(data)
        try:
            case.check(path)
            letter = b"o"
        except SegnstError:
            letter = b"r"
        except BaseException:  # noqa: BLE001 - whatever else comes out is what is looked for
            traceback.print_exc()
            letter = b"f"
        os.write(report, letter)


def _run(batch: list[tuple[Case, bytes]], folder: Path) -> tuple[list[str], str]:
    """What became of each file up to the first failure, and the child's last words."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            _child(batch, folder, writer)
        finally:
            os._exit(0)
    os.close(writer)
    found: list[str] = []
    reason = ""
    while len(found) < len(batch):
        ready, _, _ = select.select([reader], [], [], SECONDS)
        letter = os.read(reader, 1) if ready else b""
        if letter in (b"o", b"r"):
            found.append(OK if letter == b"o" else REFUSED)
            continue
        found.append(FAILED)
        reason = "" if letter else "died" if ready else f"was not done after {SECONDS} s"
        break
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reader)
    if reason == "died" and os.WIFSIGNALED(status):
        reason = f"died of signal {os.WTERMSIG(status)}"
    log = folder / "stderr"
    words = log.read_text(encoding="utf-8", errors="replace")[-3000:] if log.is_file() else ""
    return found, f"{reason}\n{words}".strip()


def fuzz(count: int | None, seconds: float | None, seed: int, keep: Path | None, kinds: set[str]) -> bool:
    """Whether nothing failed."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    dice = random.Random(seed)
    tally: Counter[tuple[str, str]] = Counter()
    began, done, said = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "run").mkdir()
        every = [c for c in cases(folder) if not kinds or c.kind in kinds]
        others = [c.data for c in every]
        for case in every:
            if _run([(case, case.data)], folder / "run")[0] != [OK]:
                raise SystemExit(f"{case.name} cannot be read as it is: nothing is learned from changing it.")
        while (count is None or done < count) and (seconds is None or time.monotonic() - began < seconds):
            size = BATCH if count is None else min(BATCH, count - done)
            batch = [(case, mutant(case.data, others, dice)) for case in (dice.choice(every) for _ in range(size))]
            while batch:
                found, words = _run(batch, folder / "run")
                for (case, data), result in zip(batch, found, strict=False):
                    tally[case.kind, result] += 1
                    done += 1
                    if result == FAILED:
                        said += 1
                        print(f"FAILED: {case.name}, number {done} of seed {seed}\n{words}\n", flush=True)
                        if keep is not None:
                            keep.mkdir(parents=True, exist_ok=True)
                            (keep / f"{seed}_{done}_{case.name}").write_bytes(data)
                batch = batch[len(found) :]
    _print_table(tally, time.monotonic() - began)
    return said == 0


def _print_table(tally: Counter[tuple[str, str]], seconds: float) -> None:
    print("| files | tried | ok | refused | failed |\n|---|---|---|---|---|")
    kinds = list(dict.fromkeys(kind for kind, _ in sorted(tally)))
    for kind in (*kinds, "all"):
        row = [sum(n for (k, r), n in tally.items() if kind in (k, "all") and r == x) for x in (OK, REFUSED, FAILED)]
        print(f"| {kind} | {sum(row)} | {row[0]} | {row[1]} | {row[2]} |")
    print(f"in {seconds:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, help="how many files")
    parser.add_argument("--seconds", type=float, help="how long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    parser.add_argument("--kind", action="append", default=[], help="media, mask, coco, plan or checkpoint; repeat it")
    given = parser.parse_args()
    count = given.count if given.count or given.seconds else 2000
    sys.exit(0 if fuzz(count, given.seconds, given.seed, given.keep, set(given.kind)) else 1)


if __name__ == "__main__":
    main()
