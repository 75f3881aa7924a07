"""The queue of renders. It is written to disk, so that it survives a restart of the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from segnst.errors import SegnstError
from segnst.files import write_text
from segnst.studio.crew import Superseded
from segnst.untrusted import parse_json, rows

State = Literal["waiting", "running", "done", "failed", "cancelled"]
MOST = 200  # jobs that are remembered


@dataclass
class Job:
    """One film or picture to be made.

    kind     a render, or a few seconds to play in the page
    output   the name of its file;  command  the command line that makes the same
    recipe   what was chosen;  source, name  its input
    words    what went wrong;  size  bytes of the output, by which it is known again
    """

    id: str
    client: str
    kind: Literal["render", "play"]
    source: str
    name: str
    recipe: dict[str, Any]
    output: str
    command: str
    state: State = "waiting"
    stage: str = ""
    done: int = 0
    expected: int | None = None
    pace: float = 0.0
    left: float | None = None
    words: str = ""
    warnings: list[str] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    seconds: float | None = None
    size: int | None = None

    def told(self) -> dict[str, Any]:
        """What pages are told."""
        values = asdict(self)
        del values["recipe"], values["client"]
        return values


Work = Callable[[Job, Callable[[dict[str, Any]], None]], Awaitable[dict[str, Any]]]


class JobQueue:
    """Runs one job after the other, taking those of different clients in turn.

    folder   for jobs.json and a folder for each job's output
    work     runs a job; tell   is called when one has changed, with its last picture if there is a new one
    """

    def __init__(
        self, folder: Path, work: Work, tell: Callable[[Job], None], words: Callable[[Exception], str]
    ) -> None:
        self.folder, self._work, self._tell, self._words = folder, work, tell, words
        self.jobs: dict[str, Job] = {}
        self.pictures: dict[str, bytes] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._last, self._closing = "", False
        folder.mkdir(parents=True, exist_ok=True)
        self._read()

    @staticmethod
    def new_id() -> str:
        """An identifier for a job."""
        return secrets.token_hex(8)

    def path(self, job: Job) -> Path:
        """Where its output is, or will be."""
        return self.folder / job.id / job.output

    def picture(self, job: Job) -> bytes | None:
        """The last picture of where it is, or of what it became."""
        try:
            return self.pictures.get(job.id) or (self.folder / job.id / "picture.jpg").read_bytes()
        except OSError:
            return None

    def add(self, job: Job) -> None:
        """Put a job into the queue."""
        self.jobs[job.id] = job
        self._changed(job)
        self.pump()

    def cancel(self, id: str) -> None:
        """Cancel a job that waits or runs."""
        job = self.jobs.get(id)
        if job is None:
            return
        if id in self._running:
            self._running[id].cancel()
        elif job.state == "waiting":
            job.state = "cancelled"
            self._changed(job)

    def again(self, id: str) -> None:
        """Put a job that failed or was cancelled back into the queue."""
        job = self.jobs[id]
        if job.state in ("failed", "cancelled"):
            job.state, job.words, job.done, job.stage, job.left = "waiting", "", 0, "", None
            self._changed(job)
            self.pump()

    def remove(self, id: str) -> None:
        """Forget a job and delete its output."""
        self.cancel(id)
        job = self.jobs.pop(id, None)
        self.pictures.pop(id, None)
        if job is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(self.path(job).parent)
            self._write()

    def left_by(self, client: str) -> None:
        """A page was closed: what only it wanted to play is not made."""
        for job in list(self.jobs.values()):
            if job.client == client and job.kind == "play" and job.state in ("waiting", "running"):
                self.cancel(job.id)

    def pump(self) -> None:
        """Start the next job of each kind, if none of it runs."""
        if self._closing:
            return
        for kind in ("render", "play"):
            if any(self.jobs[id].kind == kind for id in self._running):
                continue
            waiting = [j for j in self.jobs.values() if j.state == "waiting" and j.kind == kind]
            if waiting:
                job = next((j for j in waiting if j.client != self._last), waiting[0])
                self._last = job.client
                job.state = "running"
                self._running[job.id] = asyncio.get_running_loop().create_task(self._run(job))

    async def close(self) -> None:
        """Stop what runs; it waits again at the next start."""
        self._closing = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        self._changed(job)

        def hear(event: dict[str, Any]) -> None:
            if "picture" in event:
                self.pictures[job.id] = event["picture"]
            elif "warning" in event:
                job.warnings.append(event["warning"])
            else:
                for name, value in event.items():
                    setattr(job, name, value)
            self._tell(job)

        try:
            self.path(job).parent.mkdir(parents=True, exist_ok=True)
            report = await self._work(job, hear)
            if job.id in self.pictures:
                (self.path(job).parent / "picture.jpg").write_bytes(self.pictures.pop(job.id))
            job.state, job.done, job.left, job.seconds = "done", report["frames"], 0.0, round(report["seconds"], 2)
            job.size = self.path(job).stat().st_size
        except (asyncio.CancelledError, Superseded):
            job.state = "waiting" if self._closing else "cancelled"
        except SegnstError as error:
            job.state, job.words = "failed", self._words(error)
        finally:
            self._running.pop(job.id, None)
            if job.id in self.jobs:
                self._changed(job)
            self.pump()

    def _changed(self, job: Job) -> None:
        self._write()
        self._tell(job)

    def _write(self) -> None:
        kept = sorted((j for j in self.jobs.values() if j.kind == "render"), key=lambda j: j.created)[-MOST:]
        write_text(self.folder / "jobs.json", json.dumps([asdict(job) for job in kept]))

    def _read(self) -> None:
        path = self.folder / "jobs.json"
        try:
            found = [Job(**row) for row in rows(parse_json(path.read_bytes()), "the jobs")] if path.exists() else []
        except (OSError, ValueError, TypeError):  # of another version, or broken: the queue begins empty
            found = []
        for job in found:
            if job.state == "running":
                job.state, job.done, job.left = "waiting", 0, None
            if job.state != "done" or self.path(job).is_file():
                self.jobs[job.id] = job
