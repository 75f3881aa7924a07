"""Measures how fast segnst is: sizes, numbers of styles, modes and engines, beside a plain loop, all in one run.

Each case runs in a process of its own, and all cases take turns, so that what else the machine does hits them alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from segnst.bench.speed_run import FAST, PER_FRAME, REFERENCE, WARM, Case
from segnst.errors import InputError, ResourceError, UsageError
from segnst.setting import check, setting
from segnst.untrusted import first_line

FORMAT = "segnst-speed-1"
SIZES = ("640x360", "1280x720", "1920x1080", "3840x2160")
MODES = ("default", FAST, PER_FRAME)
LAYERS = {1: ("",), 2: ("car=", "background="), 3: ("car=", "person=", "background=")}
LAYERS[4] = ("car=", "person=", "road=", "background=")
WHAT, MEASURE = "What", "Measuring"
Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SpeedSettings:
    """What is measured. Raises UsageError for a value that is not allowed."""

    sizes: tuple[str, ...] = setting(SIZES, "Sizes of the frames, separated by commas.", metavar="WxH,…", group=WHAT)
    counts: tuple[int, ...] = setting(
        (1, 2, 4),
        "Numbers of styles, separated by commas: 1 paints the whole frame.",
        metavar="N,…",
        group=WHAT,
        min=1,
        max=4,
    )
    modes: tuple[str, ...] = setting(
        MODES, "default, fast, per-frame (no stabilization), separated by commas.", metavar="NAME,…", group=WHAT
    )
    engines: tuple[str, ...] = setting(
        ("torch", "openvino"), "Engines, separated by commas.", metavar="NAME,…", group=WHAT
    )
    styles: tuple[str, ...] = setting(
        ("starry_night", "great_wave", "the_scream", "udnie"), "Styles to paint in, separated by commas: names or "
        "files.", metavar="STYLE,…", group=WHAT,
    )  # fmt: skip
    frames: int = setting(12, "Frames of each run that are counted.", metavar="N", group=MEASURE, min=1)
    rounds: int = setting(
        1, "Runs of each case, which take turns; the median counts.", metavar="N", group=MEASURE, min=1
    )
    threads: int = setting(1, "Threads of each run.", metavar="N", group=MEASURE, min=1)

    def __post_init__(self) -> None:
        check(self)
        for size in self.sizes:
            parts = size.split("x")
            if len(parts) != 2 or not all(p.isdecimal() and 16 <= int(p) <= 16384 for p in parts):
                raise UsageError(f"'{size}' is not a size of frames. Example: 1280x720")
        for mode in self.modes:
            if mode not in MODES:
                raise UsageError(f"There is no mode '{mode}'. Known: {', '.join(MODES)}.")
        if len(self.styles) < max(self.counts):
            raise UsageError(f"{max(self.counts)} styles are to be measured, but only {len(self.styles)} are named.")


def plan_of(styles: Sequence[str]) -> tuple[str, ...]:
    """Plan entries that paint as many layers as there are styles."""
    return tuple(f"{region}{style}" for region, style in zip(LAYERS[len(styles)], styles, strict=True))


def scaled_clip(clip: Path, size: str, frames: int, folder: Path) -> Path:
    """The first frames of a clip at another size, encoded. It has enough of them to be worth compiling for."""
    import av

    from segnst.video.guard import reading

    width, height = map(int, size.split("x"))
    path = folder / f"{size}.mp4"
    with reading(clip), av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream: Any = target.add_stream("libx264", rate=24, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        written = 0
        for frame in source.decode(video=0):
            small: Any = frame.reformat(width, height, "yuv420p")
            small.pts = None
            target.mux(stream.encode(small))
            written += 1
            if written == frames:
                break
        target.mux(stream.encode(None))
    if written < frames:
        raise InputError(f"{clip} has {written} frames; {frames} are needed. Lower --frames.")
    return path


def cases(settings: SpeedSettings, clips: dict[str, Path], folder: Path) -> Iterator[tuple[str, int, Case]]:
    """(size, number of styles, case), the plain loop last for each size and number."""
    for size, count in product(settings.sizes, settings.counts):
        base = Case(
            str(clips[size]), str(folder / "out.mp4"), plan_of(settings.styles[:count]), "", "", settings.frames,
            settings.threads,
        )  # fmt: skip
        for mode, engine in product(settings.modes, settings.engines):
            yield size, count, replace(base, mode=mode, engine=engine)
        yield size, count, replace(base, mode=REFERENCE, engine="torch")


def run_case(case: Case) -> dict[str, Any]:
    """Run a case in a process of its own. Raises ResourceError if it fails."""
    environment = os.environ | {"OMP_NUM_THREADS": str(case.threads)}
    words = [sys.executable, "-W", "ignore", "-m", "segnst.bench.speed_run", json.dumps(asdict(case)), str(time.time())]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ResourceError(f"A run of {case.mode} with {case.engine} failed ({reason[0]}).")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(clip: Path, settings: SpeedSettings, tell: Callable[[str], None]) -> Report:
    """All figures. tell  called with a line before each run. Raises InputError, ResourceError."""
    from segnst.assembly import versions

    with TemporaryDirectory(prefix="segnst-speed-") as name:
        folder = Path(name)
        clips = {s: scaled_clip(clip, s, settings.frames + WARM, folder) for s in settings.sizes}
        everything = list(cases(settings, clips, folder))
        runs: list[list[dict[str, Any]]] = [[] for _ in everything]
        for turn in range(settings.rounds):
            for k, (size, count, case) in enumerate(everything):
                tell(f"round {turn + 1}: {size}, {count} styles, {case.mode}, {case.engine}")
                runs[k].append(run_case(case))
    rows = []
    for (size, count, case), found in zip(everything, runs, strict=True):
        taken = {k: _middle([f[k] for f in found]) for k in found[0]}
        rows.append({"size": size, "styles": count, "mode": case.mode, "asked": case.engine, **taken})
    for row in rows:
        plain = next(r for r in rows if (r["size"], r["styles"], r["mode"]) == (row["size"], row["styles"], REFERENCE))
        row["share"] = row["processor"] / plain["processor"]
    return {
        "format": FORMAT,
        "clip": clip.name,
        "styles": [Path(s).name for s in settings.styles],
        "frames": settings.frames,
        "rounds": settings.rounds,
        "threads": settings.threads,
        "startup": startup(),
        "versions": versions(),
        "rows": rows,
    }


def _middle(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return {k: _middle([v.get(k, 0.0) for v in values]) for k in values[0]}
    return median(values) if isinstance(values[0], float) else values[0]


def startup() -> dict[str, float]:
    """Processor seconds of answers that need no network: {command: seconds}."""
    found = {}
    for words in (["--help"], ["styles"], ["style", "missing.mp4", "-s", "starry_night"]):
        program = "import sys, time, atexit\natexit.register(lambda: sys.stderr.write(f'\\n{time.process_time()}'))\n"
        program += f"sys.argv = {['segnst', *words]!r}\nfrom segnst.cli.app import main\nmain()"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        try:
            found[" ".join(words)] = float(done.stderr.splitlines()[-1])
        except (IndexError, ValueError) as error:
            raise ResourceError(f"segnst {' '.join(words)} did not answer ({first_line(error)}).") from error
    return found
