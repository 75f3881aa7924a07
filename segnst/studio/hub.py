"""The pages that are open, and what is told to them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

GRACE = 4.0  # seconds in which a page that is loaded again counts as the same
MOST_WAITING = 1000  # events for a page that does not take them
CLIENT = re.compile(r"[\w-]{8,64}")


class Hub:
    """Websockets by client.

    gone  called with a client's identifier when its last page was closed and did not come back
    """

    def __init__(self, gone: Callable[[str], None]) -> None:
        self._gone = gone
        self._pages: dict[str, set[asyncio.Queue[Any]]] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}

    def tell(self, event: dict[str, Any], client: str | None = None) -> None:
        """Send an event to one client's pages, or to all."""
        for name, queues in self._pages.items():
            if client is None or name == client:
                for queue in queues:
                    if queue.qsize() > MOST_WAITING:  # a page that sleeps asks for everything when it is back
                        queue.get_nowait()
                    queue.put_nowait(event)

    async def serve(self, socket: WebSocket, client: str, first: dict[str, Any]) -> None:
        """Send events to a page until it closes."""
        await socket.accept()
        queue: asyncio.Queue[Any] = asyncio.Queue()
        queue.put_nowait(first)
        self._pages.setdefault(client, set()).add(queue)
        if client in self._leaving:
            self._leaving.pop(client).cancel()
        sending = asyncio.create_task(self._send(socket, queue))
        try:
            while True:
                await socket.receive_text()  # pages only listen; this ends when they close
        except (WebSocketDisconnect, KeyError, RuntimeError):
            pass
        finally:
            sending.cancel()
            self._pages[client].discard(queue)
            if not self._pages[client]:
                del self._pages[client]
                self._leaving[client] = asyncio.get_running_loop().call_later(GRACE, self._left, client)

    async def _send(self, socket: WebSocket, queue: asyncio.Queue[Any]) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it has closed; the receiving side ends it
            while True:
                await socket.send_json(await queue.get())

    def _left(self, client: str) -> None:
        self._leaving.pop(client, None)
        if client not in self._pages:
            self._gone(client)
