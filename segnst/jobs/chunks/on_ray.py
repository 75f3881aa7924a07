"""Styling chunks on a Ray cluster: each chunk is a task of Ray Core, which places, retries and moves it.

The machines need segnst and the weights. The source is read from the same path on each of them, or from a folder or
fsspec URL that all reach (``shared``), from which every machine fetches it once. What a task makes comes back through
Ray, and only the process that began the run writes the journal.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segnst import errors, temporaries
from segnst.errors import InputError, ResourceError, SegnstError, UsageError
from segnst.jobs.chunks.apart import Chunk
from segnst.jobs.chunks.identity import fingerprint
from segnst.jobs.chunks.styling import ChunkStyler, Work
from segnst.video.chunks import Packets, move_durably

TRIES = 3  # of a chunk whose machine or process was lost
_stylers: dict[str, ChunkStyler] = {}  # of this process: loading the weights once serves all of its chunks


@dataclass(frozen=True, slots=True)
class Remote:
    """A run as the tasks see it.

    key     names the run;  shared  where the source can be fetched, or None
    size, sha256  of the source, which is compared before anything is styled
    """

    work: Work
    key: str
    shared: str | None
    size: int
    sha256: str


Finished = Callable[[Chunk, Packets | None], None]
Made = tuple[Packets | None, dict[str, bytes]]  # the index, and the files by name ("" for a file of packets)


class Cluster:
    """The chunks of one run on a Ray cluster; a context manager that takes back what is not done.

    address   of the cluster, ``auto`` for the one that this machine belongs to
    place     gives the path of a chunk by its number
    finished  called for each chunk that is in its place, with the index of its packets

    Raises UsageError if Ray is not installed or there is no cluster.
    """

    frames = 0  # tasks report only whole chunks

    def __init__(self, address: str, remote: Remote, place: Callable[[int], Path], finished: Finished) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError:
            raise UsageError("--ray needs Ray, which is not installed: pip install 'segnst[ray]'.") from None
        self._ray = ray
        self._place, self._finished = place, finished
        self._mine = not ray.is_initialized()
        if self._mine:
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise UsageError(f"There is no Ray cluster at '{address}' ({error}).") from error
        plan = remote.work.plan
        gpu = 1 if remote.work.settings.device.startswith("cuda") else 0
        self._task = ray.remote(num_cpus=int(plan["torch_threads"]), num_gpus=gpu, max_retries=TRIES)(style_remotely)
        self._remote = ray.put(remote)
        self._running: dict[Any, Chunk] = {}

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._running:
            with suppress(Exception):
                self._ray.cancel(each, force=True)
        self._running.clear()
        if self._mine:
            self._ray.shutdown()

    def put(self, chunk: Chunk) -> None:
        """Add a chunk that is to be styled. Ray holds those for which there is no room yet."""
        self._running[self._task.remote(self._remote, chunk)] = chunk

    @property
    def busy(self) -> bool:
        """Whether any chunk is not done."""
        return bool(self._running)

    def step(self, seconds: float) -> None:
        """Wait at most so long for chunks, and put those that come into their places. Raises what a task raised."""
        if not self._running:
            return
        done, _ = self._ray.wait(list(self._running), timeout=seconds, fetch_local=True)
        for each in done:
            chunk = self._running.pop(each)
            try:
                index, files = self._ray.get(each)
            except self._ray.exceptions.RayTaskError as error:
                raise _own(error) from error
            except self._ray.exceptions.RayError as error:
                raise ResourceError(
                    f"Chunk {chunk.number} failed on the cluster {TRIES + 1} times ({type(error).__name__})."
                ) from error
            _put(files, self._place(chunk.number))
            self._finished(chunk, index)


def _own(error: Any) -> Exception:
    """The error of segnst that a task raised, or what else it raised."""
    cause = error.cause
    name = type(cause).__name__
    known = getattr(errors, name.removeprefix("RayTaskError(").removesuffix(")"), None)
    if isinstance(known, type) and issubclass(known, SegnstError):
        return known(str(cause.args[0] if cause.args else cause))
    return RuntimeError(f"{name} on the cluster: {cause}")


def _put(files: dict[str, bytes], path: Path) -> None:
    folder = "" not in files
    temporary = temporaries.create(path, folder=folder)
    try:
        for name, content in files.items():
            (temporary / name if folder else temporary).write_bytes(content)
        move_durably(temporary, path)
    finally:
        temporaries.remove(temporary)


def style_remotely(remote: Remote, chunk: Chunk) -> Made:
    """The task: style a chunk on this machine. Raises what ``style_file`` raises."""
    styler = _stylers.get(remote.key)
    if styler is None:
        source = fetched(remote) if remote.shared else remote.work.source
        if not source.exists():
            raise InputError(
                f"{source} is not on the machine {os.uname().nodename}; put it on a file system that all machines "
                "share, or give --shared."
            )
        if source.is_file() and source.stat().st_size != remote.size:
            raise InputError(f"{source} on the machine {os.uname().nodename} is another file than here.")
        _stylers.clear()
        styler = _stylers[remote.key] = ChunkStyler(replace(remote.work, source=source))
    with tempfile.TemporaryDirectory(prefix="segnst-") as name:
        path = Path(name) / "chunk"
        index = styler(chunk, path, lambda frames: None)
        if path.is_dir():
            return index, {each.name: each.read_bytes() for each in path.iterdir()}
        return index, {"": path.read_bytes()}


def share(source: Path, url: str, sha256: str) -> str:
    """Put the source where all machines can fetch it, unless it is there; return its URL.

    Raises UsageError if the URL cannot be used, or the source is a folder.
    """
    if source.is_dir():
        raise UsageError("--shared takes a file; put a folder of frames where all machines find it by its path.")
    target = f"{url.rstrip('/')}/{sha256[:16]}{source.suffix}"
    try:
        import fsspec

        system, path = fsspec.url_to_fs(target)
        if not system.exists(path) or system.size(path) != source.stat().st_size:
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.put_file(str(source), path)
    except (ImportError, OSError, ValueError) as error:
        raise UsageError(f"The source cannot be put into --shared {url} ({error}).") from error
    return target


def fetched(remote: Remote) -> Path:
    """The copy of the source on this machine, fetched if it is not here. Raises InputError if it is another file."""
    import fsspec

    assert remote.shared is not None
    system, path = fsspec.url_to_fs(remote.shared)
    if "file" in (system.protocol if isinstance(system.protocol, tuple) else (system.protocol,)):
        return Path(path)
    name = hashlib.sha256(remote.shared.encode()).hexdigest()[:16]
    target = Path(tempfile.gettempdir()) / f"segnst-source-{name}{remote.work.source.suffix}"
    if not target.exists() or target.stat().st_size != remote.size:
        with tempfile.TemporaryDirectory(prefix="segnst-", dir=target.parent) as folder:
            part = Path(folder) / target.name
            system.get_file(path, str(part))
            if fingerprint(part)["sha256"] != remote.sha256:
                raise InputError(f"{remote.shared} is another file than {remote.work.source}.")
            shutil.move(part, target)
    return target
