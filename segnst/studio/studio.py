"""The studio behind the page: its files, workers, queue and open pages."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segnst.config import Settings
from segnst.errors import InputError, PlanError
from segnst.files import PICTURE_SUFFIXES
from segnst.plan import ORIGINAL, parse_plan, short_name
from segnst.studio.cache import Cache
from segnst.studio.crew import Refused, Superseded, Worker, WorkerEnded
from segnst.studio.hub import Hub
from segnst.studio.jobs import Job, JobQueue
from segnst.studio.library import Library, Source
from segnst.studio.recipe import JOURNALED, Chosen, check_range, command_line, read_recipe
from segnst.studio.settings import StudioSettings
from segnst.studio.words import without_paths

PICTURE = "picture:"  # how the page calls a style that is a picture of the user's: picture:ID
PLAYED = 2.0  # seconds of a preview that is played
PLAYED_SIZE = 480  # px of its long side
HOURLY = 3600.0
_HOSTILE = "The file made its decoder end, so it is damaged or not what it seems. It was not opened."


class Studio:
    """Everything behind the page. ``files`` are the files and folders that were named at the start.

    Raises InputError for one that does not exist.
    """

    def __init__(self, files: Sequence[Path], settings: StudioSettings) -> None:
        self.settings = settings
        self.work = settings.folder.resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.library = Library(files, self.work)
        self.previews = Cache(self.work / "previews", 600)
        self.frames = Cache(self.work / "frames", 600)
        self.cards = Cache(self.work / "cards", 400)
        self.hub = Hub(self._left)
        options = {"work": str(self.work), "device": settings.device, "offline": settings.offline}
        self.media = Worker("media", options, patience=90, ended=_HOSTILE)
        self.brush = Worker("brush", options, patience=180, ended="The preview's process ended; try again.")
        self.runner = Worker("runner", options, patience=None, ended="The process that follows objects ended.")
        self.press = Worker("press", options, patience=None, ended="The process that renders ended; try again.")
        self.queue = JobQueue(self.work / "results", self._render, self._job_changed, self.words)
        self.scans: dict[str, dict[str, Any]] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._styles: dict[str, Any] | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    # --- beginning and end

    async def start(self) -> None:
        """Start the workers that every page needs, and what was waiting in the queue."""
        self.media.start()
        self.brush.start()
        self._tasks.append(asyncio.create_task(self._clean()))
        self.queue.pump()

    async def close(self) -> None:
        """Stop everything."""
        for task in [*self._tasks, *self._following.values()]:
            task.cancel()
        await self.queue.close()
        for worker in (self.media, self.brush, self.runner, self.press):
            worker.close()

    async def _clean(self) -> None:
        """Remove what is old, now and every hour."""
        while True:
            used = {j.source for j in self.queue.jobs.values() if j.state in ("waiting", "running")}
            self.library.remove_old(self.settings.keep_days, frozenset(used))
            limit = time.time() - self.settings.keep_days * 86400
            for job in list(self.queue.jobs.values()):
                if job.state not in ("waiting", "running") and job.created < limit:
                    self.queue.remove(job.id)
            for folder in (self.work / "lanes").glob("*"):
                if folder.stat().st_mtime < limit:
                    shutil.rmtree(folder, ignore_errors=True)
            await asyncio.sleep(HOURLY)

    def _left(self, client: str) -> None:
        for worker in (self.media, self.brush, self.runner):
            worker.cancel_client(client)
        self.queue.left_by(client)

    def words(self, error: Exception) -> str:
        """What to say of an error: its message without paths of this machine."""
        return without_paths(str(error), self.library.names())

    # --- files

    async def probe(self, source: Source, client: str) -> Source:
        """Find out what a file holds, once. Raises Refused, WorkerEnded."""
        if not source.facts:
            source.facts = await self.media.ask("probe", {"path": str(source.path)}, client=client)
        return source

    def scan(self, source: Source, client: str) -> dict[str, Any]:
        """What is known of a film's strip; begins to look if nobody has."""
        if source.id not in self.scans:
            self.scans[source.id] = {"times": [], "cuts": [], "sheet": None, "count": 0, "done": False}
            self._tasks.append(asyncio.create_task(self._scan(source)))
        return {k: v for k, v in self.scans[source.id].items() if k != "sheet"}

    async def _scan(self, source: Source) -> None:
        known = self.scans[source.id]

        def hear(event: dict[str, Any]) -> None:
            known["times"] += event["times"]
            known["cuts"] += event["cuts"]
            if event["times"]:
                self.hub.tell({"type": "strip", "source": source.id, "frames": len(known["times"])})

        try:
            values = {"path": str(source.path), "count": 24}
            found = await self.media.ask("scan", values, heard=hear, background=True)
            known.update(sheet=found["sheet"], count=found["count"], done=True, whole=found["whole"])
        except (Refused, WorkerEnded) as error:
            known.update(done=True, words=self.words(error))
        self.hub.tell({"type": "strip", "source": source.id, "done": True})

    # --- styles

    async def styles(self, client: str) -> dict[str, Any]:
        """The styles and classes that there are."""
        if self._styles is None:
            self._styles = await self.brush.ask("styles", {}, client=client)
        return self._styles

    def path_of(self, style: str) -> str:
        """A style of the page as it is run. Raises InputError, PlanError."""
        return str(self._picture(style).path) if style.startswith(PICTURE) else _plain(style)

    def name_of(self, style: str) -> str:
        """A style of the page as the command line shows it."""
        return self._picture(style).name if style.startswith(PICTURE) else _plain(style)

    def page_name(self, style: str) -> str:
        """A style of a plan as the page calls it. Raises PlanError for a file that the page does not have."""
        if "/" not in style and "." not in style and ":" not in style:
            return style
        found = next((s for s in self.library.known() if style in (s.name, str(s.path))), None)
        if found is None:
            raise PlanError(f"The plan uses '{short_name(style)}', which is not open here; drop that file first.")
        return PICTURE + found.id

    def _picture(self, style: str) -> Source:
        source = self.library.get(style.removeprefix(PICTURE))
        if source.path.suffix.lower() not in PICTURE_SUFFIXES:
            raise InputError(f"{source.name} is not a picture, so it cannot be a style.")
        return source

    # --- recipes

    def choose(self, recipe: Any) -> tuple[Source, Chosen]:
        """The source and settings of a recipe. Raises InputError, UsageError, PlanError."""
        source = self.library.get(str(recipe.get("source", "")) if isinstance(recipe, dict) else "")
        chosen = read_recipe(
            recipe,
            path_of=self.path_of,
            name_of=self.name_of,
            still=source.still,
            device=self.settings.device,
            offline=self.settings.offline,
        )
        return source, chosen

    def output_of(self, source: Source, chosen: Chosen) -> str:
        """The name of a render."""
        styles = [short_name(s) for s in parse_plan(chosen.shown.styles).styles] or ["original"]
        return f"{Path(source.name).stem}_{'_'.join(dict.fromkeys(styles))}"[:120] + f".{chosen.format}"

    def command(self, source: Source, chosen: Chosen) -> str:
        """The command line that makes the same."""
        resume = chosen.format in JOURNALED
        return command_line(chosen.shown, source.name, self.output_of(source, chosen), resume=resume)

    def render(self, recipe: Any, client: str) -> Job:
        """Put a render into the queue. Raises InputError, UsageError, PlanError."""
        source, chosen = self.choose(recipe)
        check_range(chosen.settings)
        output = self.output_of(source, chosen)
        job = Job(
            self.queue.new_id(), client, "render", source.id, source.name, recipe, output, self.command(source, chosen)
        )
        self.queue.add(job)
        return job

    def play(self, recipe: Any, time: float, client: str) -> Job:
        """Make a few seconds from a time on, small and with the quicker networks, to be played in the page."""
        source, chosen = self.choose(recipe)
        marked = [float(t.rpartition("@")[2]) for t in (*chosen.settings.box, *chosen.settings.point) if "@" in t]
        start = min([time, *marked])  # an object must be marked in what is played
        span = {"start": start, "end": start + PLAYED}
        small = recipe | span | {"look": recipe.get("look", {}) | {"fast": True}}
        small["output"] = {"format": "mp4", "audio": False, "max_size": PLAYED_SIZE}
        check_range(read_recipe(small, path_of=self.path_of, name_of=self.name_of).settings)
        self.queue.left_by(client)
        job = Job(self.queue.new_id(), client, "play", source.id, source.name, small, "play.mp4", "")
        self.queue.add(job)
        return job

    async def _render(self, job: Job, hear: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        source, chosen = self.choose(job.recipe)
        output = self.queue.path(job)
        worker = self.press if job.kind == "render" else self.runner
        if job.kind == "play":
            chosen = Chosen(_quick(chosen.settings), chosen.shown, chosen.format)
        resume = job.kind == "render" and chosen.format in JOURNALED
        values = {"path": str(source.path), "output": str(output), "settings": chosen.settings, "resume": resume}
        report: dict[str, Any] = await worker.ask("style", values, client=job.client, heard=hear)
        return report

    def _job_changed(self, job: Job) -> None:
        self.hub.tell({"type": "job", "job": job.told()}, job.client if job.kind == "play" else None)

    # --- objects

    def follow(self, recipe: Any, name: str, client: str) -> None:
        """Follow an object through the clip; pages hear of its lane."""
        source, chosen = self.choose(recipe)
        check_range(chosen.settings)
        old = self._following.pop(f"{client} {name}", None)
        if old is not None:
            old.cancel()
        task = asyncio.create_task(self._follow(source, chosen.settings, name, client))
        self._following[f"{client} {name}"] = task

    async def _follow(self, source: Source, settings: Settings, name: str, client: str) -> None:
        about = {"type": "lane", "source": source.id, "name": name}

        def hear(event: dict[str, Any]) -> None:
            self.hub.tell(about | event, client)

        self.hub.tell(about | {"rows": [], "begin": True}, client)
        try:
            values = {"path": str(source.path), "settings": settings, "name": name}
            await self.runner.ask("follow", values, client=client, heard=hear)
            self.hub.tell(about | {"rows": [], "complete": True}, client)
        except (Refused, WorkerEnded) as error:
            self.hub.tell(about | {"rows": [], "words": self.words(error)}, client)
        except Superseded:  # the page was closed
            return


def _plain(style: str) -> str:
    """A style by its bare name; anything that could be a path is refused."""
    if style == ORIGINAL or (style and len(style) <= 100 and not set(style) & set("/\\:.=+*@~,\0")):
        return style
    raise PlanError(f"There is no style '{style[:60]}' here.")


def _quick(settings: Settings) -> Settings:
    return replace(settings, preset="ultrafast", crf=18)
