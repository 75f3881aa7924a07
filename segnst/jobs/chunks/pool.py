"""Worker processes on this machine: each styles one chunk after another.

A worker that the system ends (out of memory, kill) is replaced, and its chunk is done again, a few times. An error of
the work itself ends the run, with the error's own sentence. When the run is interrupted, the workers are ended first.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from segnst import errors, temporaries
from segnst.errors import ResourceError, SegnstError
from segnst.jobs.chunks.apart import Chunk
from segnst.jobs.chunks.styling import ChunkStyler, Work
from segnst.memory import keep_freed_memory
from segnst.video.chunks import Packets

TRIES = 3  # of a chunk, before the run gives up
_PATIENCE = 3.0  # seconds that a worker has to clean up
Finished = Callable[[Chunk, Packets | None], None]


@dataclass
class _Worker:
    """A process, our end of the pipe to it, and the chunk that it styles, with the number of its frames done so far."""

    process: BaseProcess
    pipe: Connection
    chunk: Chunk | None = None
    frames: int = 0


class Pool:
    """Worker processes for one run; a context manager that ends them.

    place     gives the path of a chunk by its number
    finished  called in this process for each chunk that is in its place, with the index of its packets
    warn      called with a sentence when a worker had to be replaced
    """

    def __init__(
        self, count: int, work: Work, place: Callable[[int], Path], finished: Finished, warn: Callable[[str], None]
    ) -> None:
        self._work, self._place, self._finished, self._warn = work, place, finished, warn
        self._waiting: list[Chunk] = []
        self._tries: dict[int, int] = {}
        self._workers = [self._begin() for _ in range(count)]

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            with suppress(OSError):
                worker.pipe.close()  # a worker without work ends when its pipe is closed
            if worker.chunk is not None:
                worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        temporaries.sweep(self._place(0).parent)

    def put(self, chunk: Chunk) -> None:
        """Add a chunk that is to be styled."""
        self._waiting.append(chunk)
        self._hand_out()

    @property
    def busy(self) -> bool:
        """Whether any chunk is waiting or being styled."""
        return bool(self._waiting) or any(worker.chunk is not None for worker in self._workers)

    @property
    def frames(self) -> int:
        """Number of frames that are done of the chunks that are being styled."""
        return sum(worker.frames for worker in self._workers)

    def step(self, seconds: float) -> None:
        """Wait at most so long for workers to report something, and handle it.

        Raises what a worker raised, and ResourceError where workers are ended again and again.
        """
        by_pipe = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(by_pipe), seconds):
            worker = by_pipe[pipe]  # type: ignore[index]
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                self._lost(worker)
                continue
            self._hear(worker, *message)
        self._hand_out()

    def _hear(self, worker: _Worker, kind: str, value: Any) -> None:
        if kind == "frames":
            worker.frames = value
        elif kind == "done":
            chunk, worker.chunk, worker.frames = worker.chunk, None, 0
            assert chunk is not None
            self._finished(chunk, value)
        else:
            name, text = value
            known = getattr(errors, name, None)
            raise (known if isinstance(known, type) and issubclass(known, SegnstError) else RuntimeError)(text)

    def _lost(self, worker: _Worker) -> None:
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        chunk = worker.chunk
        worker.pipe.close()
        worker.process.close()
        self._workers.remove(worker)
        number = -1 if chunk is None else chunk.number
        self._tries[number] = self._tries.get(number, 0) + 1
        if self._tries[number] >= TRIES:
            raise ResourceError(
                f"A worker was ended {how} for the {TRIES}. time. If memory ran out, use fewer --workers, a smaller "
                "--max-size or --tile exact."
            )
        self._warn(f"A worker was ended {how}; its chunk is styled again by another one.")
        self._workers.append(self._begin())
        if chunk is not None:
            self._waiting.insert(0, chunk)

    def _begin(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._work), name="segnst-worker", daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.chunk is None and self._waiting:
                worker.chunk, worker.frames = self._waiting.pop(0), 0
                with suppress(OSError):  # a worker that is gone is noticed by its pipe
                    worker.pipe.send((worker.chunk, self._place(worker.chunk.number)))


def _work(pipe: Connection, work: Work) -> None:
    """The main function of a worker: styles the chunks that come through the pipe, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the run itself ends its workers
    signal.signal(signal.SIGTERM, _leave)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    keep_freed_memory()
    styler = None
    try:
        while True:
            try:
                chunk, path = pipe.recv()
            except EOFError:
                return
            styler = styler or ChunkStyler(work)
            index = styler(chunk, path, lambda frames: pipe.send(("frames", frames)))
            pipe.send(("done", index))
    except SegnstError as error:
        pipe.send(("failed", (type(error).__name__, str(error))))
    except Exception as error:  # noqa: BLE001 - the run raises it again
        with suppress(OSError):
            pipe.send(("failed", ("", f"{type(error).__name__}: {error}")))
    finally:
        if styler is not None:
            styler.close()


def _leave(*_: object) -> None:
    raise SystemExit(1)


def _end_with(parent: BaseProcess) -> None:
    """End this process when the one that began it is gone, whatever this one is doing: nobody would take its chunk."""
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
