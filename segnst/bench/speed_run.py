"""One run of ``segnst bench speed``, in a process of its own: ``python -m segnst.bench.speed_run JSON``.

A separate process has its own start-up and its own peak of memory. It prints what it measured as JSON on stdout.
Processor time is that of all its threads. It is compared rather than seconds, because other programs change it little.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WARM = 2  # frames that are not counted: the first ones compile networks and fill caches
REFERENCE = "reference"
FAST, PER_FRAME = "fast", "per-frame"


@dataclass(frozen=True)
class Case:
    """What one run does.

    mode    "default", "fast", "per-frame" (no stabilization), or "reference" for the plain loop
    plan    plan entries, one for each layer
    frames  frames that are counted, after ``WARM`` others
    """

    clip: str
    output: str
    plan: tuple[str, ...]
    mode: str
    engine: str
    frames: int
    threads: int = 1
    offline: bool = True


@dataclass
class Taken:
    """What one run took. Processor times are in ms a frame, memory in MB; ``stages`` add up to ``processor``.

    start  seconds from the process's start until the first frame is asked for
    first  seconds from there until the first frame is done
    """

    start: float = 0.0
    first: float = 0.0
    fps: float = 0.0
    processor: float = 0.0
    memory: float = 0.0
    memory_half: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    engine: str = ""


def peak_memory() -> float:
    """The most memory that this process has used, in MB."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)


def measure(case: Case, began: float) -> Taken:
    """Run a case. began  ``time.time()`` of the process's start"""
    taken = Taken()
    frames, stages, close = (_reference if case.mode == REFERENCE else _segnst)(case, taken)
    taken.start = time.time() - began
    asked, marks = time.time(), [(0.0, 0.0, dict[str, float]())]
    for count, _ in enumerate(frames, 1):
        if count == 1:
            taken.first = time.time() - asked
        marks.append((time.perf_counter(), time.process_time(), dict(stages)))
        if count == WARM + case.frames // 2:
            taken.memory_half = peak_memory()
        if count == WARM + case.frames:
            break
    close()
    counted = len(marks) - 1 - WARM
    if counted < 1:
        raise SystemExit(f"{case.clip} has too few frames to measure")
    seconds, processor = marks[-1][0] - marks[WARM][0], marks[-1][1] - marks[WARM][1]
    taken.fps, taken.processor = counted / seconds, 1000 * processor / counted
    taken.memory = peak_memory()
    taken.stages = {k: 1000 * (v - marks[WARM][2].get(k, 0.0)) / counted for k, v in marks[-1][2].items()}
    taken.stages["read, write, other"] = taken.processor - sum(taken.stages.values())
    return taken


Running = tuple[Iterator[None], dict[str, float], Callable[[], None]]  # frames one by one, stages so far, how to end


def _segnst(case: Case, taken: Taken) -> Running:
    from segnst.assembly import build
    from segnst.config import Settings
    from segnst.pipeline import State
    from segnst.video.read import open_reader
    from segnst.video.write import open_writer

    settings = Settings(
        styles=case.plan,
        fast=case.mode == FAST,
        stabilize=case.mode != PER_FRAME,
        engine=case.engine,  # type: ignore[arg-type]
        device="cpu",
        offline=case.offline,
    )
    reader = open_reader(case.clip)
    parts = build(settings, reader)
    parts.pipeline.clock = time.process_time if case.threads > 1 else time.thread_time
    taken.engine = str(parts.engine)
    writer = open_writer(case.output, reader, overwrite=True)

    def frames() -> Iterator[None]:
        state = State()
        with reader, writer:
            for clip in reader:
                styled, state = parts.pipeline(clip, state)
                writer.write(styled)
                yield

    running = frames()
    return running, parts.pipeline.seconds, lambda: running.close()  # type: ignore[attr-defined]


def _reference(case: Case, taken: Taken) -> Running:
    """The loop that people write: torchvision's DeepLab, a pass of a network for each style, a hard paste.

    Its segmenter has random weights, which take the same time as trained ones.
    """
    import av
    import torch
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

    from segnst.plan import parse_plan
    from segnst.style.checkpoints import load_style

    taken.engine = "torch in fp32"
    segment = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=21).eval()
    networks = [load_style(name).net for name in parse_plan(case.plan).styles]

    def frames() -> Iterator[None]:
        with av.open(case.clip) as source, av.open(case.output, "w") as target:
            stream: Any = target.add_stream("libx264", rate=24)
            stream.width, stream.height = source.streams.video[0].width, source.streams.video[0].height
            for frame in source.decode(video=0):
                rgb = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[None].float() / 255
                with torch.inference_mode():
                    classes = segment(rgb)["out"].argmax(1)
                    for k, network in enumerate(networks):
                        rgb = torch.where(classes % len(networks) == k, network(rgb), rgb)
                pixels = (rgb[0].clamp(0, 1) * 255).byte().permute(1, 2, 0).contiguous().numpy()
                target.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
                yield
            target.mux(stream.encode(None))

    running = frames()
    return running, {}, lambda: running.close()  # type: ignore[attr-defined]


def main() -> None:
    """Run the case that the first argument describes, and print what it took."""
    began = float(sys.argv[2])
    described: dict[str, Any] = json.loads(sys.argv[1])
    case = Case(**described | {"plan": tuple(described["plan"])})
    os.environ["OMP_NUM_THREADS"] = str(case.threads)
    from segnst.memory import keep_freed_memory

    keep_freed_memory()
    found = asdict(measure(case, began))
    Path(case.output).unlink(missing_ok=True)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
