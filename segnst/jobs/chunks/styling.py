"""Styling chunks apart from each other, in whatever process: what a worker does."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import torch

from segnst.assembly import build, memory_advice
from segnst.config import Settings
from segnst.errors import InputError
from segnst.jobs.chunks.apart import Chunk
from segnst.jobs.chunks.start import Start, frames_after
from segnst.jobs.outputs import open_input
from segnst.style.stylizer import StylizerCarry
from segnst.types import Clip
from segnst.video.chunks import ChunkWriter, Encoding, Packets, Place, open_chunk_writer
from segnst.video.paths import is_folder_output


@dataclass(frozen=True, slots=True)
class Work:
    """All that a worker needs to know of a run; it can be sent to another process.

    plan  of the journal: numbers of threads, by name
    """

    source: Path
    output: Path
    settings: Settings
    how: Encoding
    plan: dict[str, Any]


class ChunkStyler:
    """Styles chunks of one run; weights are loaded once. Changes the numbers of threads of its process.

    Raises what ``style_file`` raises before its first frame.
    """

    def __init__(self, work: Work) -> None:
        torch.set_num_threads(int(work.plan["torch_threads"]))
        cv2.setNumThreads(int(work.plan["opencv_threads"]))
        settings = work.settings
        self._work = work
        self._reader = open_input(work.source, settings)
        self._parts = build(settings, self._reader)
        if not is_folder_output(work.output):
            self._reader.sources.want()

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def __call__(self, chunk: Chunk, path: Path, tell: Callable[[int], None]) -> Packets | None:
        """Style a chunk into ``path``, complete or not at all; return the index of its packets.

        tell  called with the number of frames that are done, after each of them

        Raises what the pipeline and writers raise, and InputError if the source has other frames than before.
        """
        reader, start, writer, kept = self._reader, chunk.start, None, 0
        state = start.state
        if chunk.scene is not None:
            state = replace(state, stylizer=self._of_scene(chunk.scene))
        found = cast(Generator[Clip, None, None], frames_after(reader, start.mark, start.before))
        with closing(found) as frames, memory_advice(f"{reader.width}x{reader.height}"):
            try:
                for number, clip in enumerate(frames, 1 - chunk.warm):
                    styled, state = self._parts.pipeline(clip, state)
                    if number < 1:
                        continue
                    if writer is None:
                        writer = self._open(chunk, path)
                    writer.write(styled)
                    kept = number
                    tell(kept)
                    if kept == chunk.frames:
                        break
                if writer is None or kept < chunk.frames:
                    raise InputError(f"{self._work.source} has fewer frames than before; begin anew with --restart.")
                writer.until = chunk.until
                writer.close()
            except BaseException:
                if writer is not None:
                    writer.abort()
                raise
        return writer.index

    def _of_scene(self, start: Start) -> StylizerCarry:
        """What the stylizer holds of the scene that begins at ``start``."""
        with closing(cast(Generator[Clip, None, None], frames_after(self._reader, start.mark, start.before))) as frames:
            _, state = self._parts.pipeline(next(frames), start.state)
        self._reader.close()
        return state.stylizer

    def _open(self, chunk: Chunk, path: Path) -> ChunkWriter:
        start = chunk.start
        place = Place(start.before + chunk.warm, start.first_pts or 0, previous=chunk.previous)
        return open_chunk_writer(path, self._work.output, self._reader, self._work.how, place)
