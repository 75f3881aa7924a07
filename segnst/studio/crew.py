"""The server's side of worker processes: starting them, asking them fairly, and outliving their end.

A worker answers one request at a time. Those that wait are taken in turn from each client, so that one busy page does
not keep another one waiting. A newer request can take the place of a waiting one, as when a slider is moved.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from segnst.errors import SegnstError
from segnst.studio import desk

Heard = Callable[[Any], None]


class Superseded(SegnstError):
    """A newer request took the place of this one."""


class WorkerEnded(SegnstError):
    """The worker's process ended, or took too long and was ended."""


class Refused(SegnstError):
    """What a worker answered instead of a result; ``kind`` is the name of the error's class."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


@dataclass
class _Ask:
    number: int
    name: str
    values: dict[str, Any]
    client: str
    replaces: str | None
    heard: Heard | None
    future: asyncio.Future[Any]
    background: bool
    idle: bool
    timer: asyncio.TimerHandle | None = None


class Worker:
    """A worker process that is started when it is first asked and again after it ended.

    role      key of ``segnst.studio.desk.DESKS``;  options  arguments of its desk
    patience  seconds that one request may take; None for any time
    ended     what to say when the process ends in the middle of a request
    """

    def __init__(self, role: str, options: dict[str, Any], *, patience: float | None, ended: str) -> None:
        self.role, self.options, self.patience, self.ended = role, options, patience, ended
        self._numbers = itertools.count(1)
        self._process: Any = None
        self._pipe: Connection | None = None
        self._sent: dict[int, _Ask] = {}
        self._waiting: OrderedDict[str, list[_Ask]] = OrderedDict()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process's number, if it runs."""
        return self._process.pid if self._process is not None and self._process.is_alive() else None

    def start(self) -> None:
        """Start the process unless it runs."""
        if self._pipe is not None or self._closed:
            return
        spawning = multiprocessing.get_context("spawn")
        ours, theirs = spawning.Pipe()
        self._process = spawning.Process(
            target=desk.main, args=(theirs, self.role, self.options), name=f"segnst-studio-{self.role}", daemon=True
        )
        self._process.start()
        theirs.close()
        self._pipe = ours
        threading.Thread(target=self._listen, args=(ours, asyncio.get_running_loop()), daemon=True).start()

    async def ask(
        self,
        name: str,
        values: dict[str, Any] | None = None,
        *,
        client: str = "",
        replaces: str | None = None,
        heard: Heard | None = None,
        background: bool = False,
        idle: bool = False,
    ) -> Any:
        """Send a request and wait for its answer. If the waiting task is cancelled, so is the request.

        replaces    requests of the same client and word that wait are given up for this one
        heard       called with each event of the request
        background  the request does not keep others waiting
        idle        it waits until nobody waits for anything else

        Raises Refused (the worker's own error), Superseded, WorkerEnded.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ask = _Ask(next(self._numbers), name, values or {}, client, replaces, heard, future, background, idle)
        mine = self._waiting.setdefault(client, [])
        if replaces is not None:
            for old in [a for a in mine if a.replaces == replaces]:
                mine.remove(old)
                if not old.future.done():
                    old.future.set_exception(Superseded("A newer request took its place."))
        mine.append(ask)
        self._pump()
        try:
            return await future
        except asyncio.CancelledError:
            self._give_up(ask)
            task = asyncio.current_task()
            if task is not None and not task.cancelling():  # only the request was given up, not who waits for it
                raise Superseded("It was given up.") from None
            raise

    def cancel_client(self, client: str) -> None:
        """Give up everything that a client asked for."""
        asks = [*self._waiting.get(client, ()), *(a for a in self._sent.values() if a.client == client)]
        for ask in asks:
            ask.future.cancel()

    def close(self) -> None:
        """End the process. Requests in progress are cancelled by the end of the pipe."""
        self._closed = True
        for ask in [*self._sent.values(), *(a for asks in self._waiting.values() for a in asks)]:
            if ask.timer is not None:
                ask.timer.cancel()
            ask.future.cancel()
        self._sent.clear()
        self._waiting.clear()
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            self._process.join(3)
            if self._process.is_alive():
                self._process.kill()
                self._process.join(3)

    def _give_up(self, ask: _Ask) -> None:
        mine = self._waiting.get(ask.client, [])
        if ask in mine:
            mine.remove(ask)
        elif ask.number in self._sent and self._pipe is not None:
            self._send(("cancel", ask.number))

    def _pump(self) -> None:
        """Send what can be sent: background requests one at a time, and others one at a time."""
        for background in (True, False):
            while not any(a.background is background for a in self._sent.values()):
                ask = self._next(background)
                if ask is None:
                    break
                self.start()
                self._sent[ask.number] = ask
                if self.patience is not None and not background:
                    ask.timer = asyncio.get_running_loop().call_later(self.patience, self._too_long)
                self._send(("ask", ask.number, ask.name, ask.values))

    def _next(self, background: bool) -> _Ask | None:
        """Take what is to be sent next: from each client in turn, and what is idle last."""
        for client in [client for client, asks in self._waiting.items() if not asks]:
            del self._waiting[client]
        for idle in (False, True):
            for client, asks in list(self._waiting.items()):
                found = next((a for a in asks if a.background is background and a.idle is idle), None)
                if found is not None:
                    asks.remove(found)
                    self._waiting.move_to_end(client)  # the others come first now
                    return found
        return None

    def _send(self, message: tuple[Any, ...]) -> None:
        if self._pipe is not None:
            try:
                self._pipe.send(message)
            except OSError:  # it has ended; its listener says so
                return

    def _listen(self, pipe: Connection, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                message = None
            try:
                loop.call_soon_threadsafe(self._heard, pipe, message)
            except RuntimeError:  # the server is gone
                return
            if message is None:
                return

    def _heard(self, pipe: Connection, message: tuple[Any, ...] | None) -> None:
        if pipe is not self._pipe:
            return
        if message is None:
            self._died()
            return
        kind, number, *rest = message
        ask = self._sent.get(number)
        if ask is None:
            return
        if kind == "event":
            if ask.heard is not None and not ask.future.done():
                ask.heard(rest[0])
            return
        del self._sent[number]
        if ask.timer is not None:
            ask.timer.cancel()
        if not ask.future.done():
            if kind == "answer":
                ask.future.set_result(rest[0])
            else:
                ask.future.set_exception(Refused(rest[0], rest[1]))
        self._pump()

    def _too_long(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _died(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        self._pipe = None
        lost, self._sent = list(self._sent.values()), {}
        for ask in lost:
            if ask.timer is not None:
                ask.timer.cancel()
            if not ask.future.done():
                ask.future.set_exception(WorkerEnded(self.ended))
        if not self._closed:
            self._pump()
