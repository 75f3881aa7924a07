"""Routes for what is seen and painted: regions, cut-outs, previews, plans, following, renders, the camera."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import time as clock
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from segnst.config import Settings, read_plan_file
from segnst.errors import InputError, SegnstError, UsageError
from segnst.studio.asking import answering, body_of, client_of, number, studio_of
from segnst.studio.hub import CLIENT
from segnst.studio.jobs import Job
from segnst.studio.lanes import digest, fingerprint
from segnst.studio.read_back import recipe_of
from segnst.studio.recipe import plan_file, preview_settings, read_recipe
from segnst.studio.studio import Studio
from segnst.untrusted import parse_json, table

VIEWS = ("result", "mask", "flicker")
MOST_PICTURE = 2 << 20  # bytes of one picture of a camera


async def regions(request: Request) -> Response:
    """What the segmenter sees on a frame."""
    studio, query = studio_of(request), request.query_params
    source = await studio.probe(studio.library.get(request.path_params["id"]), client_of(request))
    values = {"path": str(source.path), "time": 0.0 if source.still else number(query, "t")}
    found = await studio.brush.ask("regions", values, client=client_of(request), replaces="regions")
    return JSONResponse(found | {"map": base64.b64encode(found["map"]).decode()})


async def cutout(request: Request) -> Response:
    """One object as its marks on a frame cut it out."""
    studio, body = studio_of(request), await body_of(request)
    source, chosen = studio.choose(body.get("recipe"))
    await studio.probe(source, client_of(request))
    values = {
        "path": str(source.path),
        "time": 0.0 if source.still else number(body, "t"),
        "settings": chosen.settings,
        "name": str(body.get("name", "")),
    }
    found = await studio.brush.ask("cutout", values, client=client_of(request))
    return JSONResponse(found | {"mask": base64.b64encode(found["mask"]).decode()})


async def preview(request: Request) -> Response:
    """A frame as it will look; facts are in headers."""
    studio, body, began = studio_of(request), await body_of(request), clock.perf_counter()
    source, chosen = studio.choose(body.get("recipe"))
    await studio.probe(source, client_of(request))
    view = str(body.get("view", "result"))
    if view not in VIEWS:
        raise UsageError(f"There is no view '{view[:20]}'.")
    settings = preview_settings(chosen.settings, view)
    time = 0.0 if source.still else number(body, "t")
    key = digest("preview", fingerprint(source.path), round(time, 4), settings, view)
    data, facts = studio.previews.get(key), studio.previews.get(f"{key}.facts")
    cached = data is not None and facts is not None
    if data is None or facts is None:
        values = {"path": str(source.path), "time": time, "settings": settings, "view": view}
        found = await studio.brush.ask("preview", values, client=client_of(request), replaces="preview")
        data = found.pop("jpeg")
        facts = bytes(JSONResponse(found).body)
        if not found["unknown"]:  # else it will look different once the object has been followed to this frame
            studio.previews.put(key, data)
            studio.previews.put(f"{key}.facts", facts)
    headers = {
        "x-facts": base64.b64encode(facts).decode(),
        "x-cached": str(int(cached)),
        "x-seconds": f"{clock.perf_counter() - began:.3f}",
    }
    return Response(data, media_type="image/jpeg", headers=headers)


async def command(request: Request) -> Response:
    """The command line and the plan file that mean the same as a recipe."""
    studio, body = studio_of(request), await body_of(request)
    source, chosen = studio.choose(body.get("recipe"))
    words = {"command": studio.command(source, chosen), "plan": plan_file(chosen.shown)}
    return JSONResponse(words | {"output": studio.output_of(source, chosen)})


async def read_plan(request: Request) -> Response:
    """A recipe from a plan file that was dropped in."""
    studio, body = studio_of(request), await body_of(request)
    path = studio.work / f"plan-{secrets.token_hex(8)}.toml"
    try:
        path.write_text(str(body.get("text", "")))
        settings = Settings(**read_plan_file(path))
    finally:
        path.unlink(missing_ok=True)
    recipe, notes = recipe_of(settings, studio.page_name)
    return JSONResponse({"recipe": recipe, "notes": notes})


async def follow(request: Request) -> Response:
    """Begin to follow an object; the page hears of its lane."""
    body = await body_of(request)
    studio_of(request).follow(body.get("recipe"), str(body.get("name", "")), client_of(request))
    return JSONResponse({})


async def render(request: Request) -> Response:
    """Put a render into the queue."""
    return JSONResponse(studio_of(request).render((await body_of(request)).get("recipe"), client_of(request)).told())


async def play(request: Request) -> Response:
    """Make a few seconds to be played in the page."""
    body = await body_of(request)
    job = studio_of(request).play(body.get("recipe"), number(body, "t"), client_of(request))
    return JSONResponse(job.told())


def _job(request: Request) -> tuple[Studio, Job]:
    studio = studio_of(request)
    job = studio.queue.jobs.get(request.path_params["id"])
    if job is None:
        raise InputError("There is no such render any more.")
    return studio, job


async def change_job(request: Request) -> Response:
    """Cancel a render, begin it again, or remove it with its result."""
    studio, job = _job(request)
    action = request.path_params["action"]
    actions = {"cancel": studio.queue.cancel, "again": studio.queue.again, "remove": studio.queue.remove}
    if action not in actions:
        raise UsageError(f"A render cannot be told to '{action[:20]}'.")
    actions[action](job.id)
    if action == "remove":
        studio.hub.tell({"type": "removed", "id": job.id})
    return JSONResponse(job.told())


async def output(request: Request) -> Response:
    """The result of a render; with ``download``, as a file to be saved."""
    studio, job = _job(request)
    path = studio.queue.path(job)
    if job.state != "done" or not path.is_file():
        raise InputError("This render has no result (any more).")
    kind = "attachment" if "download" in request.query_params else "inline"
    return FileResponse(path, filename=job.output, content_disposition_type=kind)


async def picture(request: Request) -> Response:
    """The last picture of where a render is."""
    studio, job = _job(request)
    data = studio.queue.picture(job)
    return Response(data or b"", 200 if data else 204, {"cache-control": "no-store"}, "image/jpeg")


async def job_recipe(request: Request) -> Response:
    """What a render was made from, to go on from there."""
    _, job = _job(request)
    return JSONResponse({"recipe": job.recipe})


async def events(socket: WebSocket) -> None:
    """Tell a page what happens."""
    studio: Studio = socket.app.state.studio
    client = socket.query_params.get("client", "")
    if not CLIENT.fullmatch(client):
        await socket.close(1008)
        return
    jobs = [job.told() for job in studio.queue.jobs.values() if job.kind == "render"]
    await studio.hub.serve(socket, client, {"type": "hello", "jobs": jobs})


async def camera(socket: WebSocket) -> None:
    """Style a camera's pictures: JPEGs come and go, text says what to do with them. The newest picture wins."""
    studio: Studio = socket.app.state.studio
    await socket.accept()
    key = secrets.token_hex(8)
    settings: Settings | None = None
    newest: asyncio.Queue[bytes] = asyncio.Queue(1)

    async def paint() -> None:
        while True:
            data = await newest.get()
            if settings is None:
                continue
            try:
                values = {"key": key, "data": data, "settings": settings}
                await socket.send_bytes(await studio.brush.ask("live_frame", values, client=f"camera {key}"))
            except SegnstError as error:
                await socket.send_json({"words": studio.words(error)})
            except (WebSocketDisconnect, RuntimeError):  # the page has closed
                return

    painting = asyncio.create_task(paint())
    try:
        while True:
            message: dict[str, Any] = dict(await socket.receive())
            if message["type"] == "websocket.disconnect":
                return
            if message.get("bytes"):
                if len(message["bytes"]) > MOST_PICTURE:
                    await socket.send_json({"words": "The camera's picture is too large."})
                    continue
                if newest.full():
                    newest.get_nowait()
                    await socket.send_json({"dropped": 1})
                newest.put_nowait(message["bytes"])
            elif message.get("text"):
                try:
                    values = table(parse_json(message["text"]), "the recipe")
                    chosen = read_recipe(values, path_of=studio.path_of, name_of=studio.name_of, still=True)
                    settings = replace(chosen.settings, box=(), point=(), not_point=(), fast=True)
                except (SegnstError, ValueError) as error:
                    await socket.send_json({"words": studio.words(error)})
    except (WebSocketDisconnect, RuntimeError):
        return
    finally:
        painting.cancel()
        with contextlib.suppress(SegnstError):
            await studio.brush.ask("live_end", {"key": key})


ROUTES = [
    Route("/api/source/{id}/regions", answering(regions)),
    Route("/api/cutout", answering(cutout), methods=["POST"]),
    Route("/api/preview", answering(preview), methods=["POST"]),
    Route("/api/command", answering(command), methods=["POST"]),
    Route("/api/plan", answering(read_plan), methods=["POST"]),
    Route("/api/follow", answering(follow), methods=["POST"]),
    Route("/api/render", answering(render), methods=["POST"]),
    Route("/api/play", answering(play), methods=["POST"]),
    Route("/api/jobs/{id}/output", answering(output)),
    Route("/api/jobs/{id}/picture", answering(picture)),
    Route("/api/jobs/{id}/recipe", answering(job_recipe)),
    Route("/api/jobs/{id}/{action}", answering(change_job), methods=["POST"]),
    WebSocketRoute("/ws", events),
    WebSocketRoute("/ws/camera", camera),
]
