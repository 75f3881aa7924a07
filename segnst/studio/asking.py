"""What all routes share: reading requests within limits, and answering with words when something is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from segnst.errors import SegnstError, UsageError
from segnst.studio.crew import Refused, Superseded
from segnst.studio.hub import CLIENT
from segnst.studio.studio import Studio
from segnst.untrusted import parse_json, real, table

MOST_JSON = 1 << 20  # bytes
Route = Callable[[Request], Awaitable[Response]]


def studio_of(request: Request) -> Studio:
    """The studio that serves a request."""
    studio: Studio = request.app.state.studio
    return studio


def client_of(request: Request) -> str:
    """The page that asks, by the identifier that it gave itself."""
    name = request.headers.get("x-client", "") or request.query_params.get("client", "")
    return name if CLIENT.fullmatch(name) else "unknown"


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent. Raises UsageError."""
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > MOST_JSON:
            raise UsageError("What the page sent is too long.")
    try:
        return table(parse_json(data), "what the page sent")
    except ValueError as error:
        raise UsageError(f"What the page sent cannot be understood: {error}.") from error


def number(values: Any, name: str, least: float = 0.0, most: float = 1e7) -> float:
    """A number that was sent, within limits. Raises UsageError."""
    try:
        value = real(values.get(name, 0), name)
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    if not least <= value <= most:
        raise UsageError(f"{name} is out of range.")
    return value


def answering(route: Route) -> Route:
    """Answer errors as JSON: their words, without paths of this machine."""

    async def answer(request: Request) -> Response:
        studio = studio_of(request)
        try:
            return await route(request)
        except Superseded as error:
            return JSONResponse({"words": str(error), "superseded": True}, 409)
        except ClientDisconnect:
            return Response(status_code=499)
        except SegnstError as error:
            wrong = isinstance(error, UsageError) or (isinstance(error, Refused) and error.kind != "Unexpected")
            return JSONResponse({"words": studio.words(error)}, 400 if wrong else 500)

    return answer
