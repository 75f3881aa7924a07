"""Running the studio: a socket, uvicorn, and the browser."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import uvicorn

from segnst.errors import UsageError
from segnst.interrupts import SIGNALS
from segnst.studio.app import create_app
from segnst.studio.settings import StudioSettings
from segnst.studio.studio import Studio

MOST_MESSAGE = 4 << 20  # bytes of a websocket's message


class _Server(uvicorn.Server):
    """A server that ends at a signal without passing it on: to be stopped is how it is meant to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def bind(settings: StudioSettings) -> socket.socket:
    """Listen on the settings' address. If the default port is taken, another one is chosen. Raises UsageError."""
    default = StudioSettings().port
    for port in dict.fromkeys((settings.port, 0 if settings.port == default else settings.port)):
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((settings.host, port))
            bound.listen(128)  # from now on, who comes before the server is ready waits for it
        except OSError as error:
            bound.close()
            reason = (error.strerror or str(error)).lower()
        else:
            return bound
    raise UsageError(f"The studio cannot listen on {settings.host}, port {settings.port}: {reason}.")


def names_of(host: str, port: int) -> tuple[str, ...]:
    """What the Host header may say. None if other machines can reach the server, whose names for it are unknown."""
    from segnst.studio.settings import LOOPBACK

    if host not in LOOPBACK:
        return ()
    return tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))


def serve(files: Sequence[Path], settings: StudioSettings, say: Callable[[str], None]) -> None:
    """Serve the page until a signal comes. ``say`` is told the address.

    Raises InputError for a file that does not exist, UsageError for an address that cannot be used.
    """
    studio = Studio(files, settings)
    bound = bind(settings)
    port = bound.getsockname()[1]
    token = secrets.token_urlsafe(24) if settings.open_to_others else None
    name = "127.0.0.1" if settings.host in ("127.0.0.1", "localhost", "0.0.0.0") else settings.host
    address = f"http://{f'[{name}]' if ':' in name else name}:{port}/" + (f"?token={token}" if token else "")
    config = uvicorn.Config(
        create_app(studio, names_of(settings.host, port), token),
        log_level="error",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=MOST_MESSAGE,
        timeout_graceful_shutdown=2,
    )
    say(address)
    if settings.browser:
        webbrowser.open(address)
    asyncio.run(_Server(config).serve([bound]))
