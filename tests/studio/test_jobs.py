"""The queue of renders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segnst.errors import InputError
from segnst.studio.jobs import Job, JobQueue


def job(id: str, client: str) -> Job:
    return Job(id, client, "render", "s", "a.mp4", {}, "out.mp4", "segnst style a.mp4")


def test_pages_take_turns_and_a_failure_says_why(tmp_path: Path) -> None:
    done: list[str] = []

    async def work(job: Job, hear: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        hear({"done": 1, "expected": 2, "pace": 1.0, "left": 1.0})
        await asyncio.sleep(0)
        done.append(job.id)
        if job.id == "a3":
            raise InputError("It is broken.")
        queue.path(job).write_bytes(b"film")
        return {"frames": 2, "seconds": 1.0}

    async def run() -> None:
        for id in ("a1", "a2", "a3", "b1", "b2"):
            queue.add(job(id, id[0]))
        while any(j.state in ("waiting", "running") for j in queue.jobs.values()):
            await asyncio.sleep(0.01)

    queue = JobQueue(tmp_path, work, lambda job: None, str)
    asyncio.run(run())
    assert done == ["a1", "b1", "a2", "b2", "a3"]
    assert (queue.jobs["a3"].state, queue.jobs["a3"].words) == ("failed", "It is broken.")
    assert queue.jobs["b2"].size == 4

    again = JobQueue(tmp_path, work, lambda job: None, str)
    assert {id: j.state for id, j in again.jobs.items()} == {id: j.state for id, j in queue.jobs.items()}
    (tmp_path / "jobs.json").write_text("[{]")
    assert not JobQueue(tmp_path, work, lambda job: None, str).jobs, "a broken file is no reason to end"


def test_a_queue_that_closes_lets_the_running_job_wait(tmp_path: Path) -> None:
    async def work(job: Job, hear: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        await asyncio.sleep(60)
        return {}

    async def run() -> None:
        queue.add(job("a1", "a"))
        await asyncio.sleep(0.01)
        assert queue.jobs["a1"].state == "running"
        await queue.close()

    queue = JobQueue(tmp_path, work, lambda job: None, str)
    asyncio.run(run())
    assert JobQueue(tmp_path, work, lambda job: None, str).jobs["a1"].state == "waiting"
