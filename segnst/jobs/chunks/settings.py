"""How a run is kept, and spread over processes and machines."""

from __future__ import annotations

from dataclasses import dataclass

from segnst.config import RUNNING
from segnst.errors import UsageError
from segnst.setting import check, setting


@dataclass(frozen=True, slots=True)
class Spread:
    """Whether a run keeps a journal of what is done, and where it is computed. The help of each field describes it.

    Raises UsageError for a value that its field does not allow.
    """

    resume: bool = setting(
        False,
        "Keep a journal of what is done beside the output, and go on from it if the run was ended.",
        group=RUNNING,
        options=("--resume",),
    )
    restart: bool = setting(
        False, "As --resume, but throw away the journal that is there.", group=RUNNING, options=("--restart",)
    )
    work: str | None = setting(
        None, "Folder for the journal. Default: hidden, beside the output.", metavar="DIR", group=RUNNING
    )
    chunk: int | None = setting(
        None,
        "Frames of a chunk, after which the journal keeps what is done. Default: 96, and 96 to 480 with --workers.",
        metavar="FRAMES",
        group=RUNNING,
        min=1,
        max=100_000,
    )

    workers: int = setting(
        1,
        "Style chunks in so many processes, each with its share of the threads and its own memory; keeps a journal.",
        metavar="N",
        group=RUNNING,
        min=1,
        max=256,
    )
    ray: str | None = setting(
        None,
        "Style chunks on the Ray cluster at this address (auto: the one of this machine); keeps a journal.",
        metavar="ADDRESS",
        group=RUNNING,
    )
    shared: str | None = setting(
        None,
        "Folder or fsspec URL from which the machines of --ray fetch the input. Default: its own path.",
        metavar="URL",
        group=RUNNING,
    )

    def __post_init__(self) -> None:
        check(self)
        if not self.wanted and (self.work is not None or self.chunk is not None):
            raise UsageError("--work and --chunk are about the journal that --resume keeps: add --resume.")
        if self.shared is not None and self.ray is None:
            raise UsageError("--shared is for --ray, which is missing.")
        if self.ray is not None and self.workers > 1:
            raise UsageError("--workers are processes of this machine, and --ray uses a cluster; leave one out.")

    @property
    def wanted(self) -> bool:
        """Whether the run is made of chunks and keeps a journal."""
        return self.resume or self.restart or self.apart

    @property
    def apart(self) -> bool:
        """Whether chunks are styled apart from each other."""
        return self.workers > 1 or self.ray is not None
