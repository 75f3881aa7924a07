"""Styles a file in chunks with a journal, so that a run that was ended goes on: ``segnst style --resume``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import torch

from segnst.assembly import Parts, build, memory_advice, versions, weights_used
from segnst.config import Settings
from segnst.errors import OutputError, SegnstError, UsageError
from segnst.jobs.chunks.apart import FirstPass
from segnst.jobs.chunks.identity import facts_of
from segnst.jobs.chunks.in_order import InOrder
from segnst.jobs.chunks.journal import Journal, open_journal, write_whole
from segnst.jobs.chunks.place import journal_path, read_about
from segnst.jobs.chunks.planning import check_plan, plan_for, tell_memory
from segnst.jobs.chunks.settings import Spread
from segnst.jobs.chunks.spread_out import Chunks, style_apart
from segnst.jobs.chunks.styling import Work
from segnst.jobs.chunks.workers import workers_for
from segnst.jobs.events import Context
from segnst.jobs.outputs import folder_for, open_input
from segnst.jobs.style import Report
from segnst.recipe import recipe_of
from segnst.video.chunks import Encoding, container_of
from segnst.video.joining import open_join_writer
from segnst.video.paths import is_folder_output
from segnst.video.read import Reader


@dataclass
class _Styled:
    """What is known when all chunks are done: the first frame's time, notes of the segmenter, seconds of waiting."""

    first_pts: int
    notes: Sequence[str] = ()
    waited: dict[str, float] = field(default_factory=dict)


def style_in_chunks(
    path: Path, target: Path, settings: Settings, spread: Spread, *, overwrite: bool = False, context: Context
) -> Report:
    """Style ``path`` into ``target``, which were checked, with a journal of what is done.

    Whatever is raised, the chunks that are done stay in the journal, and its path is in the message. Raises what
    ``style_file`` raises, and UsageError for a journal of something else.
    """
    if not is_folder_output(target):
        container_of(target)
    began = time.perf_counter()
    context.stage("open the input")
    reader = open_input(path, settings)
    with reader:
        with context.loading() as said:
            parts = build(settings, reader)
        with folder_for(target):
            folder = journal_path(target, spread.work)
            _check_place(folder, spread)
            known = None if spread.restart else read_about(folder)
            context.stage("look at the journal")
            facts = facts_of(settings, path, parts, target, known["facts"] if known else None)
            plan = plan_for(spread, reader)
            journal = open_journal(folder, facts, plan, output=target, restart=spread.restart)
            with journal, _kept(journal), _threads(journal.plan):
                check_plan(journal, spread)
                for number in journal.damaged:
                    context.warn(f"Chunk {number} in the journal {folder} is damaged and is styled again.")
                threads = int(journal.plan["encoder_threads"])
                recipe = recipe_of(settings, parts) if settings.recipe else None
                how = Encoding(settings.codec, settings.crf, settings.preset, threads, settings.bits(), recipe)
                with memory_advice(f"{reader.width}x{reader.height}"):
                    if journal.plan["apart"]:
                        work = Work(path, target, settings, how, journal.plan)
                        styled = _apart(work, reader, parts, journal, spread, context)
                    else:
                        styled = _in_order(reader, parts, journal, target, how, context)
                warned = _join(journal, reader, target, how, styled.first_pts, settings.audio, overwrite, context)
                frames = journal.frames
                journal.remove()
    warnings = [*said, *reader.warnings, *warned, *styled.notes]
    for warning in warnings:
        context.warn(warning)
    waited = styled.waited
    seconds = {"read": waited["read"]} | parts.pipeline.seconds | {"write": waited["write"]} if waited else {}
    return Report(
        output=target,
        frames=frames,
        seconds=time.perf_counter() - began,
        stages={name: each / max(frames, 1) for name, each in seconds.items()},
        warnings=list(dict.fromkeys(warnings)),
        versions=versions(),
        weights=weights_used(parts),
        settings=asdict(settings),
    )


def _in_order(reader: Reader, parts: Parts, journal: Journal, target: Path, how: Encoding, context: Context) -> _Styled:
    """Style what is missing in this process."""
    work = InOrder(reader, parts, journal, target, how, int(journal.plan["chunk"]), context)
    end = work.run()
    notes = parts.segmenter.notes(end.state.segmenter) if parts.segmenter is not None else []
    return _Styled(end.first_pts or 0, notes, work.waited)


def _apart(work: Work, reader: Reader, parts: Parts, journal: Journal, spread: Spread, context: Context) -> _Styled:
    """Style what is missing in other processes or on other machines, while the first pass finds the chunks."""
    device, plan = parts.pipeline.device, journal.plan
    tell_memory(reader, parts, spread, plan, context)
    length, warm, expected = int(plan["chunk"]), int(plan["warm"]), plan["expected"]
    first = FirstPass(reader, parts.segmenter, device, length, warm, expected)
    with workers_for(work, journal, spread, context) as workers:
        chunks = Chunks(first, journal, device)
        try:
            known = style_apart(chunks, journal, workers, context, reader.frames_expected)
        finally:
            reader.close()  # ends the first pass
            chunks.close()
    path = journal.folder / "notes.json"
    if first.frames:
        write_whole(path, {"notes": parts.segmenter.notes(first.carry) if parts.segmenter is not None else []})
    notes = json.loads(path.read_text(encoding="utf-8"))["notes"] if path.exists() else []
    return _Styled(known[0].start.first_pts or 0, notes)


def _join(
    journal: Journal, reader: Reader, target: Path, how: Encoding, first_pts: int, audio: bool, overwrite: bool,
    context: Context,
) -> list[str]:  # fmt: skip
    """Make the output of the chunks; return the warnings of its writer."""
    context.stage("complete the file")
    with open_join_writer(target, reader, how, audio=audio, overwrite=overwrite) as writer:
        chunks = [(journal.chunk(number), journal.done[number].index) for number in sorted(journal.done)]
        writer.join(chunks, first_pts, journal.frames)
    return writer.warnings


def _check_place(folder: Path, spread: Spread) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise OutputError(f"{folder} is in the place of the journal and is not a folder; remove it first.")
    if spread.work is not None and not Path(spread.work).is_dir():
        raise UsageError(f"The folder {folder.parent} for the journal does not exist; create it first.")


@contextmanager
def _threads(plan: dict[str, Any]) -> Iterator[None]:
    """Compute with as many threads as the run was begun with, because their number changes the last bits of a frame."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(int(plan["torch_threads"]))
    cv2.setNumThreads(int(plan["opencv_threads"]))
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


@contextmanager
def _kept(journal: Journal) -> Iterator[None]:
    """When a run fails, keep the journal if anything is done, and say so; else remove it."""
    fresh = not journal.done
    try:
        yield
    except BaseException as error:
        if fresh and not journal.done:
            journal.remove()
        elif isinstance(error, SegnstError) and not isinstance(error, UsageError):
            count = len(journal.done)
            chunks = "1 chunk is" if count == 1 else f"{count} chunks are"
            hint = f"{chunks} kept in {journal.folder}; the same command with --resume goes on from there."
            raise type(error)(f"{error} {hint}") from error
        raise
