"""The web application of a studio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from segnst.studio import routes_files, routes_paint
from segnst.studio.security import Guard
from segnst.studio.studio import Studio

STATIC = Path(__file__).parent / "static"


async def page(request: Request) -> Response:
    """The page itself."""
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})


class _Fresh(StaticFiles):
    """Files that browsers ask for again each time, so that a newer version is seen at once."""

    def file_response(self, *arguments: object, **more: object) -> Response:
        answer: Response = super().file_response(*arguments, **more)  # type: ignore[arg-type]
        answer.headers["cache-control"] = "no-cache"
        return answer


def create_app(studio: Studio, hosts: Iterable[str], token: str | None = None) -> Starlette:
    """The application. ``hosts`` and ``token`` are described at :class:`Guard`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await studio.start()
        try:
            yield
        finally:
            await studio.close()

    routes = [
        Route("/", page),
        *routes_files.ROUTES,
        *routes_paint.ROUTES,
        Mount("/static", _Fresh(directory=STATIC)),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, middleware=[Middleware(Guard, hosts=hosts, token=token)])
    app.state.studio = studio
    return app
