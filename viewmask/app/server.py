"""The server: what browsers may ask of `viewmask app`, and nothing else.

Starlette and uvicorn, two small packages, and a page of our own: a picture of every step goes to the browser while the
worker works, the mesh is shown by the very `page.html` that the command line writes, and nothing is fetched from
elsewhere. (Gradio would bring twenty packages, and holds Pillow at an older release.)
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import IO, Any, get_args

from PIL import Image
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recon import region
from viewmask.app.order import LIMITS, LONGEST, Edit, Order
from viewmask.app.photo import Photo
from viewmask.app.worker import FILES, Job, Worker, described
from viewmask.errors import ViewmaskError
from viewmask.model.sampling import FROM_IMAGE, FROM_TEXT, MASK_SCHEDULES, Speed, at_speed
from viewmask.views.cutout import CUTOUT, WAYS

LARGEST_FILE = 100 * 2**20
_LARGEST_TEXT = 10_000
_LARGEST_REGION = 2**20
_PHOTOS = 32  # kept of everybody's, 8 MB each at most
_COOKIE = "viewmask"
_PATIENCE = 1.0  # seconds after a wrong password
_STATIC = {"": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_OPTIONAL = {"grabcut": "cv2", "rembg": "rembg"}

# The browser itself refuses whatever would come from, or go, elsewhere.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TURNTABLE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; sandbox allow-scripts; "
    "frame-ancestors 'self'"
)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class RefusedError(Exception):
    """An answer that is no success: its status and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line


class Guard:
    """Stands before every route: names of the host, where a request comes from, user and password, safe headers.

    Args:
        hosts: the names by which browsers may call us; None allows any. A page of elsewhere that has its own name point
            at this machine is turned away.
        auth: `user:password`, or "".
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None, auth: str) -> None:
        self.app, self.hosts = app, hosts
        self.token = base64.b64encode(auth.encode()).decode() if auth else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if (refusal := self.refusal(headers)) is not None:
            if refusal.status_code == 401 and headers.get("authorization"):
                await asyncio.sleep(_PATIENCE)  # who guesses passwords has to be patient
            await refusal(scope, receive, send)
            return

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = MutableHeaders(scope=message)
                kept.setdefault("content-security-policy", _POLICY)
                kept.setdefault("cache-control", "no-store")
                kept["x-content-type-options"] = "nosniff"
                kept["referrer-policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, safe)

    def refusal(self, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if self.hosts is not None and name.strip("[]") not in self.hosts:
            return PlainTextResponse("not the name of this page", 400)
        origin = headers.get("origin")
        if origin is not None and origin.split("://")[-1] != host:
            return PlainTextResponse("asked from another page", 403)
        if self.token:
            kind, _, given = headers.get("authorization", "").partition(" ")
            try:
                decoded = base64.b64decode(given, validate=True)
            except (binascii.Error, ValueError):
                decoded = b""
            if kind.lower() != "basic" or not hmac.compare_digest(decoded, base64.b64decode(self.token)):
                challenge = {"www-authenticate": 'Basic realm="viewmask", charset="UTF-8"'}
                return PlainTextResponse("user and password, please", 401, challenge)
        return None


class Site:
    """The routes, and the photos that were sent."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.photos: dict[str, tuple[str, Photo]] = {}  # with their owner
        # One at a time: reading a huge picture takes memory, and Pillow's warnings are the whole process's.
        self.desk = ThreadPoolExecutor(1, thread_name_prefix="pictures")

    def routes(self) -> list[Route]:
        """What can be asked."""
        return [
            *(Route(f"/{name}", self.static, name=name) for name in _STATIC),
            Route("/api/state", self.state),
            Route("/api/photos", self.send_photo, methods=["POST"]),
            Route("/api/photos/{key}", self.change_photo, methods=["PUT"]),
            Route("/api/photos/{key}/{name}", self.picture),
            Route("/api/jobs", self.submit, methods=["POST"]),
            Route("/api/jobs/{key}", self.job),
            Route("/api/jobs/{key}", self.cancel, methods=["DELETE"]),
            Route("/api/jobs/{key}/edits", self.edit, methods=["POST"]),
            Route("/api/jobs/{key}/steps/{step:int}", self.step),
            Route("/api/jobs/{key}/files/{name}", self.file),
        ]

    async def static(self, request: Request) -> Response:
        name = request.url.path.lstrip("/")
        response = FileResponse(Path(__file__).with_name(name or "page.html"), media_type=_STATIC[name])
        if not name and not request.cookies.get(_COOKIE):
            # Everybody has a name of his own, which tells nothing but whose results are whose.
            response.set_cookie(_COOKIE, secrets.token_urlsafe(18), max_age=10**7, httponly=True, samesite="strict")
        return response

    async def state(self, request: Request) -> Response:
        owner = _owner(request)
        return JSONResponse(
            {
                "jobs": [described(self.worker, job) for job in self.worker.jobs.values() if job.owner == owner],
                "cutouts": ["auto", *(way for way in WAYS if way not in _OPTIONAL or find_spec(_OPTIONAL[way]))],
                "schedules": list(MASK_SCHEDULES),
                "limits": LIMITS | {"text": LONGEST, "file": LARGEST_FILE},
                "usual": {"draws": Order.draws, "speed": Order.speed},
                "speeds": {
                    speed: {
                        kind: {
                            name: getattr(at_speed(exact, speed), name) for name in ("steps", "schedule", "guidance")
                        }
                        for kind, exact in (("text", FROM_TEXT), ("image", FROM_IMAGE))
                    }
                    for speed in get_args(Speed)
                },
            }
        )

    async def send_photo(self, request: Request) -> Response:
        owner = _owner(request)
        name = request.query_params.get("name", "")
        with tempfile.SpooledTemporaryFile(2**20) as file:
            await _receive(request, file, LARGEST_FILE)
            photo = await self._at_desk(lambda: Photo.read(file, name))
        self.photos[photo.key] = owner, photo
        for key in list(self.photos)[:-_PHOTOS]:
            del self.photos[key]
        return JSONResponse(_photo_record(photo))

    async def change_photo(self, request: Request) -> Response:
        photo = self._photo(request)
        way = request.query_params.get("cutout")
        if way is not None:
            changed = await self._at_desk(lambda: photo.cut(way))
        else:
            with tempfile.SpooledTemporaryFile(2**20) as file:
                await _receive(request, file, 2**23)
                changed = await self._at_desk(lambda: photo.mended(file))
        self.photos[photo.key] = _owner(request), changed
        return JSONResponse(_photo_record(changed))

    async def picture(self, request: Request) -> Response:
        photo, name = self._photo(request), request.path_params["name"]
        if name == "picture.webp":
            image, form = Image.fromarray(photo.picture, "RGBA"), "WEBP"
        elif name == CUTOUT and photo.shown is not None:
            image, form = Image.fromarray(photo.shown.picture, "RGBA"), "PNG"
        else:
            raise RefusedError(404, "there is no such picture")

        def encoded() -> bytes:
            stream = BytesIO()
            image.save(stream, form, quality=90, compress_level=4)
            return stream.getvalue()

        return Response(await self._at_desk(encoded), media_type=f"image/{form.lower()}")

    async def submit(self, request: Request) -> Response:
        owner = _owner(request)
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            raise RefusedError(415, "orders are JSON")
        text = BytesIO()
        await _receive(request, text, _LARGEST_TEXT)
        order = Order.of_record(_parsed(text.getvalue()))
        photo = None
        if order.picture:
            whose, photo = self.photos.get(order.picture, ("", None))
            if photo is None or whose != owner:
                raise RefusedError(404, "that picture is no longer here: give it again")
            if photo.shown is None:
                raise ViewmaskError(photo.trouble)
        return JSONResponse(described(self.worker, self.worker.submit(owner, order, photo)))

    async def edit(self, request: Request) -> Response:
        base = self._job(request)
        if base.state != "done":
            raise ViewmaskError("those views are not there yet")
        order = Edit.of_record(_parsed(request.query_params.get("order", "")), base.order.views)
        with tempfile.SpooledTemporaryFile(2**20) as file:
            await _receive(request, file, _LARGEST_REGION)
            painted = await self._at_desk(lambda: region.painted(file, base.side, base.side))
        return JSONResponse(described(self.worker, self.worker.edit(base, order, painted)))

    async def job(self, request: Request) -> Response:
        return JSONResponse(described(self.worker, self._job(request)))

    async def cancel(self, request: Request) -> Response:
        job = self._job(request)
        self.worker.cancel(job)
        return JSONResponse(described(self.worker, job))

    async def step(self, request: Request) -> Response:
        job, step = self._job(request), request.path_params["step"]
        if not 0 < step <= job.step or not (file := job.folder / f"{step}.webp").is_file():
            raise RefusedError(404, "there is no such step")
        return FileResponse(file, media_type="image/webp", headers={"cache-control": "private, max-age=3600"})

    async def file(self, request: Request) -> Response:
        job, name = self._job(request), request.path_params["name"]
        if name not in FILES or not (file := job.folder / name).is_file():
            raise RefusedError(404, "there is no such file")
        headers = {"content-security-policy": _TURNTABLE_POLICY} if name == "page.html" else None
        return FileResponse(file, media_type=FILES[name], headers=headers)

    async def _at_desk(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.desk, work)

    def _photo(self, request: Request) -> Photo:
        owner, photo = self.photos.get(request.path_params["key"], ("", None))
        if photo is None or owner != _owner(request):
            raise RefusedError(404, "that picture is no longer here: give it again")
        return photo

    def _job(self, request: Request) -> Job:
        job = self.worker.jobs.get(request.path_params["key"])
        if job is None or job.owner != _owner(request):  # nobody learns which are there
            raise RefusedError(404, "that result is no longer here")
        return job


def application(worker: Worker, hosts: frozenset[str] | None, auth: str = "") -> Starlette:
    """The page's program for any ASGI server; `hosts` and `auth` as in `Guard`."""
    site = Site(worker)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        worker.start()
        yield
        await asyncio.to_thread(worker.stop)
        site.desk.shutdown(cancel_futures=True)

    app = Starlette(
        routes=site.routes(),
        lifespan=lifespan,
        exception_handlers={RefusedError: _refused, ViewmaskError: _expected, 404: _absent, MemoryError: _memory},
    )
    app.add_middleware(Guard, hosts=hosts, auth=auth)
    return app


def _owner(request: Request) -> str:
    owner = request.cookies.get(_COOKIE, "")
    if not 16 <= len(owner) <= 64:
        raise RefusedError(403, "open the page first; it needs a cookie to tell your results from others'")
    return owner


def _photo_record(photo: Photo) -> dict[str, Any]:
    shown = photo.shown
    return {
        "id": photo.key, "name": photo.name, "cutout": photo.way, "version": photo.version, "trouble": photo.trouble,
        "how": shown.how if shown else "", "notes": list(shown.notes) if shown else [],
        "width": photo.picture.shape[1], "height": photo.picture.shape[0],
    }  # fmt: skip


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "this is no order: reload the page") from error


async def _receive(request: Request, file: IO[bytes] | Any, most: int) -> None:
    """Write a request's body to a file, unless it is too large."""
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise RefusedError(413, f"that is too large: {most / 2**20:.3g} MB at most")
        file.write(part)
    file.seek(0)


def _line(status: int, line: str) -> Response:
    return JSONResponse({"error": line}, status)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _line(error.status, error.line)


async def _expected(request: Request, error: Exception) -> Response:
    return _line(422, " ".join(str(error).split()))


async def _absent(request: Request, error: Exception) -> Response:
    return _line(404, "there is no such page")


async def _memory(request: Request, error: Exception) -> Response:
    return _line(413, "that takes more memory than there is: give a smaller picture")
