"""How a run is kept and spread: settings that change no picture of it."""

from __future__ import annotations

from dataclasses import dataclass

from segnst.config import RUNNING
from segnst.errors import UsageError
from segnst.setting import check, setting


@dataclass(frozen=True, slots=True)
class Spread:
    """Whether a run keeps a journal of what is done. The help text of each field describes it.

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
        "Frames after which the journal keeps what is done. Default: 96.",
        metavar="FRAMES",
        group=RUNNING,
        min=1,
        max=100_000,
    )

    def __post_init__(self) -> None:
        check(self)
        if not self.wanted and (self.work is not None or self.chunk is not None):
            raise UsageError("--work and --chunk are about the journal that --resume keeps: add --resume.")

    @property
    def wanted(self) -> bool:
        """Whether the run is made of chunks and keeps a journal."""
        return self.resume or self.restart
