"""Styling chunks one after another in this process: each goes on exactly where the one before it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from segnst.assembly import Parts
from segnst.jobs.chunks.journal import Journal
from segnst.jobs.chunks.saved import check_savable
from segnst.jobs.chunks.start import Mark, Start, frames_after
from segnst.jobs.events import Context
from segnst.pipeline import State
from segnst.types import Clip
from segnst.video.chunks import ChunkWriter, Encoding, Place, open_chunk_writer
from segnst.video.paths import is_folder_output
from segnst.video.read import Reader


@dataclass
class InOrder:
    """Styles what is missing in a journal.

    length  frames of a chunk
    waited  seconds of waiting to read and write, by these words
    """

    reader: Reader
    parts: Parts
    journal: Journal
    output: Path
    how: Encoding
    length: int
    context: Context
    waited: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "write": 0.0})

    def run(self) -> Start:
        """Style all chunks that are missing; return where the film ends. Raises what the pipeline and writers raise."""
        device = self.parts.pipeline.device
        if not is_folder_output(self.output):
            self.reader.sources.want()  # before the first frame is read, and so before there is a writer that asks
        self.context.stage("frames")
        self._done = self._kept = self.journal.frames
        while (missing := self.journal.missing()) is not None:
            self._go_on(self.journal.start_of(missing, device))
        return self.journal.start_of(len(self.journal.done), device)

    def _go_on(self, at: Start) -> None:
        """Style chunks from ``at`` on until one is reached that is done, or the film ends."""
        writer: ChunkWriter | None = None
        before, state = at.before, at.state
        clip: Clip | None = None
        mark = time.perf_counter()
        try:
            for following in frames_after(self.reader, at.mark, at.before):
                self.waited["read"] += time.perf_counter() - mark
                if writer is not None and clip is not None and before - at.before == self.length:
                    writer.until = following.pts[0]
                    at = self._complete(writer, at, before, state, clip, final=False)
                    writer = None
                    if at.chunk in self.journal.done:
                        return
                clip = following
                if writer is None:
                    at = self._first(at, clip)
                    assert at.first_pts is not None
                    place = Place(at.before, at.first_pts, at.last)
                    writer = open_chunk_writer(self.journal.chunk(at.chunk), self.output, self.reader, self.how, place)
                styled, state = self.parts.pipeline(clip, state)
                if not before:
                    check_savable(state, f"The segmenter {self._segmenter}")
                mark = time.perf_counter()
                writer.write(styled)
                self.waited["write"] += time.perf_counter() - mark
                before += 1
                self._tell(before, styled.rgb)
                mark = time.perf_counter()
            assert writer is not None and clip is not None
            self._complete(writer, at, before, state, clip, final=True)
        except BaseException:
            if writer is not None:
                writer.abort()
            raise

    @property
    def _segmenter(self) -> str:
        return self.parts.segmenter.name if self.parts.segmenter is not None else "(none)"

    def _first(self, at: Start, clip: Clip) -> Start:
        if at.first_pts is not None:
            return at
        return Start(at.chunk, at.before, at.state, at.mark, clip.pts[0], at.last)

    def _complete(self, writer: ChunkWriter, at: Start, before: int, state: State, clip: Clip, *, final: bool) -> Start:
        """Close a chunk and note it in the journal; return where the next one begins."""
        mark = time.perf_counter()
        writer.close()
        index = writer.index
        last = -1 if index is None else index.last
        after = Start(at.chunk + 1, before, state, Mark.of(clip), at.first_pts, last)
        self.journal.commit(at.chunk, before - at.before, final, index, after)
        self.waited["write"] += time.perf_counter() - mark
        return after

    def _tell(self, frames: int, rgb: torch.Tensor) -> None:
        self._done = max(self._done, frames)
        self.context.thumbnail(frames - 1, rgb)
        self.context.frames(self._done, self.reader.frames_expected, before=self._kept)
