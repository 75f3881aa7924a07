"""Who styles the chunks: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from segnst.jobs.chunks.apart import Chunk
from segnst.jobs.chunks.journal import Journal
from segnst.jobs.chunks.on_ray import Cluster, Remote, share
from segnst.jobs.chunks.pool import Pool
from segnst.jobs.chunks.settings import Spread
from segnst.jobs.chunks.styling import Work
from segnst.jobs.events import Context
from segnst.video.chunks import Packets


def workers_for(work: Work, journal: Journal, spread: Spread, context: Context) -> Pool | Cluster:
    """The workers that a run asks for; use the result in a ``with``. Raises UsageError."""

    def finished(chunk: Chunk, index: Packets | None) -> None:
        journal.commit(chunk.number, chunk.frames, chunk.final, index, None)

    if spread.ray is None:
        return Pool(spread.workers, work, journal.chunk, finished, context.warn)
    source = journal.facts["source"]["input"]
    shared = share(work.source, spread.shared, source["sha256"]) if spread.shared is not None else None
    remote = Remote(work, str(journal.folder.absolute()), shared, source["size"], source["sha256"])
    return Cluster(spread.ray, remote, journal.chunk, finished)
