"""How a run is divided and computed, and what that takes; a journal keeps it, so that all of its chunks agree."""

from __future__ import annotations

import os
from typing import Any

import cv2
import torch

from segnst.assembly import Parts
from segnst.errors import UsageError
from segnst.jobs.chunks.apart import WARM
from segnst.jobs.chunks.journal import Journal
from segnst.jobs.chunks.settings import Spread
from segnst.jobs.events import Context, Note
from segnst.memory import free_memory, largest_memory
from segnst.pipeline import State
from segnst.video.read import Reader

IN_ORDER = 96  # frames of a chunk that goes on from the one before it
APART = (96, 480)  # least and most frames of a chunk with a beginning of its own
EACH = 4  # chunks for each worker, if the film is long enough: with fewer, most wait for the last one
MOST_THREADS = 16  # of an encoder; more make no encoder faster, and change the picture


def plan_for(spread: Spread, reader: Reader) -> dict[str, Any]:
    """The plan of a new run: JSON that the journal keeps.

    The numbers of threads are part of it, because they change the last bits of a frame. Those of OpenCV are not shared
    out: it computes the optical flow in as many stripes as it has threads.
    """
    cores, shares = os.cpu_count() or 1, spread.workers
    length = spread.chunk or (_length(reader, spread) if spread.apart else IN_ORDER)
    return {
        "apart": spread.apart,
        "chunk": length,
        "warm": min(WARM, length // 2),
        "expected": reader.frames_expected,
        "torch_threads": max(1, torch.get_num_threads() // shares),
        "opencv_threads": cv2.getNumThreads(),
        "encoder_threads": max(1, min(cores, MOST_THREADS) // shares),
    }


def _length(reader: Reader, spread: Spread) -> int:
    expected = reader.frames_expected
    if expected is None or spread.ray is not None:
        return APART[1] // 2
    return min(APART[1], max(APART[0], -(-expected // (EACH * spread.workers))))


def check_plan(journal: Journal, spread: Spread) -> None:
    """Raise UsageError if a run cannot go on with a journal as it is asked to."""
    if spread.apart and not journal.plan["apart"]:
        raise UsageError(
            f"The journal {journal.folder} was begun in one process, whose chunks follow each other. Leave out "
            "--workers and --ray, or begin anew with --restart."
        )
    if spread.chunk is not None and spread.chunk != journal.plan["chunk"]:
        raise UsageError(
            f"The journal {journal.folder} has chunks of {journal.plan['chunk']} frames, not {spread.chunk}. Leave out "
            "--chunk, or begin anew with --restart."
        )


def tell_memory(reader: Reader, parts: Parts, spread: Spread, plan: dict[str, Any], context: Context) -> None:
    """Say how much memory the workers will take, measured by styling a frame in this process."""
    threads = int(plan["torch_threads"])
    each = f"{threads} thread{'s' if threads > 1 else ''} each"
    if spread.ray is not None:
        context.tell(Note(f"Chunks of {plan['chunk']} frames on the cluster {spread.ray}, {each}."))
        return
    clip = next(iter(reader), None)
    reader.close()
    if clip is not None:
        for _ in range(2):
            parts.pipeline.frame(clip.rgb, State())
    peak, free = largest_memory(), free_memory()
    if peak is None:
        return
    memory = f"about {_gb(peak)} of memory each, {_gb(peak * spread.workers)} together"
    context.tell(Note(f"{spread.workers} workers with {each}, {memory}."))
    if free is not None and peak * spread.workers > free:
        context.warn(
            f"{spread.workers} workers take about {_gb(peak * spread.workers)} of memory, and {_gb(free)} are free; "
            "the system may end some of them. Use fewer --workers."
        )


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
