"""Styling the chunks of a film in several processes or on several machines, while the first pass still finds more."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

from segnst.errors import InputError
from segnst.jobs.chunks.apart import Chunk, FirstPass
from segnst.jobs.chunks.journal import Journal
from segnst.jobs.chunks.saved import load, save
from segnst.jobs.events import Context

_TICK = 0.1  # seconds between two looks at what has come in


class Workers(Protocol):
    """What styles chunks: processes of this machine, or a cluster."""

    def put(self, chunk: Chunk) -> None: ...

    def step(self, seconds: float) -> None: ...

    @property
    def busy(self) -> bool: ...

    @property
    def frames(self) -> int: ...


class Chunks:
    """The chunks of a film, in a thread: from the journal, if it has all of them, else from the first pass.

    The first pass finds the same chunks every time, so one that was ended is begun again.
    """

    def __init__(self, first: FirstPass, journal: Journal, device: Any) -> None:
        self._first, self._journal, self._device = first, journal, device
        self._found: queue.Queue[Chunk | BaseException | None] = queue.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="segnst-first-pass", daemon=True)
        self._thread.start()
        self.over = False

    def _run(self) -> None:
        try:
            for chunk in self._kept() or self._first:
                self._found.put(chunk)
                if self._stop.is_set():
                    return
            self._found.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again in ``ready``
            self._found.put(error)

    def _kept(self) -> list[Chunk]:
        """All chunks as the journal has them; empty if some are missing or damaged."""
        found: list[Chunk] = []
        with suppress(InputError):
            while not found or not found[-1].final:
                path = self._journal.folder / f"{len(found):05d}.chunk"
                if not path.exists():
                    return []
                chunk = load(path, self._device)
                if not isinstance(chunk, Chunk) or chunk.number != len(found):
                    return []
                found.append(chunk)
            return found
        return []

    def ready(self) -> Iterator[Chunk]:
        """The chunks that were found since the last call. Raises what the first pass raised."""
        while not self.over:
            try:
                chunk = self._found.get_nowait()
            except queue.Empty:
                return
            if chunk is None:
                self.over = True
            elif isinstance(chunk, BaseException):
                raise chunk
            else:
                yield chunk

    def close(self) -> None:
        """Stop the first pass. Safe to call twice."""
        self._stop.set()
        self._thread.join()


def style_apart(
    chunks: Chunks, journal: Journal, workers: Workers, context: Context, expected: int | None
) -> dict[int, Chunk]:
    """Style all chunks that the journal lacks; return all chunks by number. Raises what the workers raise."""
    known: dict[int, Chunk] = {}
    kept = journal.frames
    context.stage("frames")
    while not chunks.over or workers.busy:
        for chunk in chunks.ready():
            known[chunk.number] = chunk
            path = journal.folder / f"{chunk.number:05d}.chunk"
            if not path.exists():
                save(path, chunk)
            done = journal.done.get(chunk.number)
            if done is not None and done.frames != chunk.frames:
                raise InputError(f"The journal {journal.folder} has other chunks than the film; use --restart.")
            if done is None:
                workers.put(chunk)
        workers.step(_TICK)
        context.frames(journal.frames + workers.frames, expected, before=kept)
    return known
