"""Routes for files: what there is, opening, uploading, frames and the film strip."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from segnst.errors import InputError
from segnst.files import PICTURE_SUFFIXES
from segnst.studio.asking import answering, body_of, client_of, number, studio_of
from segnst.studio.lanes import digest, fingerprint
from segnst.weights import bundled_dir

SIZES = (160, 320, 640, 1280)  # px of the long side in which frames are given
FOREVER = {"cache-control": "private, max-age=86400, immutable"}


async def state(request: Request) -> Response:
    """What a page needs at first."""
    studio = studio_of(request)
    jobs = sorted(studio.queue.jobs.values(), key=lambda job: job.created)
    return JSONResponse(
        {
            "files": studio.library.listed(),
            "folders": bool(studio.library.folders),
            "max_upload": studio.settings.max_upload,
            "jobs": [job.told() for job in jobs if job.kind == "render"],
        }
    )


async def styles(request: Request) -> Response:
    """The styles and classes that there are."""
    return JSONResponse(await studio_of(request).styles(client_of(request)))


async def open_source(request: Request) -> Response:
    """Open a file by its identifier or by a path that was typed."""
    studio, body = studio_of(request), await body_of(request)
    source = studio.library.by_path(str(body["path"])) if "path" in body else studio.library.get(str(body.get("id")))
    await studio.probe(source, client_of(request))
    return JSONResponse(source.as_dict())


async def upload(request: Request) -> Response:
    """Take a file in: its bytes are the body, its name is a parameter. It is written to disk as it comes."""
    studio = studio_of(request)
    most = studio.settings.max_upload * 1_000_000
    declared = request.headers.get("content-length", "")
    too_large = f"The file is larger than {studio.settings.max_upload} MB, the most that may be uploaded here."
    if declared.isdecimal() and int(declared) > most:
        return JSONResponse({"words": too_large}, 413, {"connection": "close"})
    source = studio.library.new_upload(request.query_params.get("name", ""))
    size = 0
    try:
        with source.path.open("xb") as file:
            async for part in request.stream():
                size += len(part)
                if size > most:
                    studio.library.drop(source)
                    return JSONResponse({"words": too_large}, 413, {"connection": "close"})
                file.write(part)
        if not size:
            raise InputError("The file is empty.")
        studio.library.keep(source)
        await studio.probe(source, client_of(request))
        if request.query_params.get("as") == "style" and source.path.suffix.lower() not in PICTURE_SUFFIXES:
            raise InputError("A style is made of a picture (JPEG, PNG, WebP, TIFF).")
    except BaseException as error:
        studio.library.drop(source)
        if isinstance(error, OSError):
            raise InputError("The file could not be stored; is the disk full?") from error
        raise
    return JSONResponse(source.as_dict())


async def frame(request: Request) -> Response:
    """A frame as JPEG; its exact time is in a header."""
    studio, query = studio_of(request), request.query_params
    source = await studio.probe(studio.library.get(request.path_params["id"]), client_of(request))
    time = 0.0 if source.still else number(query, "t")
    wanted = number(query, "size", 0, 8192) or 640
    size = next((s for s in SIZES if s >= wanted), SIZES[-1])
    key = digest("frame", fingerprint(source.path), round(time, 4), size)
    data, at = studio.frames.get(key), studio.frames.get(f"{key}.time")
    if data is None or at is None:
        found = await studio.media.ask(
            "frame", {"path": str(source.path), "time": time, "size": size}, client=client_of(request),
            replaces="frame" if query.get("newest") else None,
        )  # fmt: skip
        data = studio.frames.put(key, found["jpeg"])
        at = studio.frames.put(f"{key}.time", str(found["time"]).encode())
    return Response(data, media_type="image/jpeg", headers={"x-time": at.decode(), **FOREVER})


async def strip(request: Request) -> Response:
    """What is known of the film strip: times of frames, cuts, and whether its pictures are ready."""
    studio = studio_of(request)
    source = await studio.probe(studio.library.get(request.path_params["id"]), client_of(request))
    return JSONResponse(studio.scan(source, client_of(request)))


async def sheet(request: Request) -> Response:
    """The thumbnails of a strip side by side, as one JPEG."""
    known = studio_of(request).scans.get(request.path_params["id"], {})
    if not known.get("sheet"):
        return JSONResponse({"words": "The film strip is not ready yet."}, 404)
    return Response(known["sheet"], media_type="image/jpeg", headers={"cache-control": "no-store"})


async def card(request: Request) -> Response:
    """The picture of a style: the user's own, its painting, or (or where asked for it) a frame painted in it."""
    studio, query = studio_of(request), request.query_params
    client, style = client_of(request), request.path_params["style"]
    if style.startswith("picture:"):
        source = studio.library.get(style.removeprefix("picture:"))
        values = {"path": str(source.path), "time": 0.0, "size": 320}
        return Response((await studio.media.ask("frame", values, client=client))["jpeg"], media_type="image/jpeg")
    name, path, time = studio.path_of(style), None, 0.0
    painting = bundled_dir() / "paintings" / f"{name}.webp"
    if "painted" not in query and painting.is_file():
        return FileResponse(painting, headers=FOREVER)
    if query.get("source"):
        source = await studio.probe(studio.library.get(query["source"]), client)
        path, time = str(source.path), 0.0 if source.still else number(query, "t")
    key = digest("card", name, fingerprint(source.path) if path else "", round(time, 4))
    data = studio.cards.get(key)
    if data is None:
        asked = {"style": name, "path": path, "time": time}
        data = studio.cards.put(key, await studio.brush.ask("card", asked, client=client, idle=True))
    return Response(data, media_type="image/jpeg", headers=FOREVER)


ROUTES = [
    Route("/api/state", answering(state)),
    Route("/api/styles", answering(styles)),
    Route("/api/open", answering(open_source), methods=["POST"]),
    Route("/api/upload", answering(upload), methods=["POST"]),
    Route("/api/source/{id}/frame", answering(frame)),
    Route("/api/source/{id}/strip", answering(strip)),
    Route("/api/source/{id}/sheet", answering(sheet)),
    Route("/api/card/{style}", answering(card)),
]
