"""What the page's tests share: a generator that paints discs, a worker of it, and a server of that."""

import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from recon.mesh import TexturedMesh
from viewmask import pipeline
from viewmask.app.worker import Worker
from viewmask.generator import Generator
from viewmask.learning.device import Device
from viewmask.model.sampler import Unmasked
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.views.camera import orbit
from viewmask.views.making import KEY, Making, digest
from viewmask.views.viewset import ViewSet

SIZE = 48


class Painter(Generator):
    """Paints discs, draw by draw another colour. `gate` holds it before each step; of several, the third fits best."""

    def __init__(self) -> None:
        lexicon = lexicon_of(SHIPPED / TRANSFORMER, {})
        runs_on = Device(torch.device("cpu"), torch.float32)
        weights = SimpleNamespace(
            lexicon=lexicon, runs_on=runs_on, photos=True, fingerprint="paint", refiner=SimpleNamespace()
        )
        super().__init__(weights)  # type: ignore[arg-type]
        self.gate = threading.Event()
        self.gate.set()

    def disc(self, draw: int, seed: int, red: int = 200):
        y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
        image = np.zeros((SIZE, SIZE, 4), np.uint8)
        image[np.hypot(x, y) < 14] = (red, seed % 256, 40 * draw, 255)
        return image

    def samples(self, caption, count=4, views=4, *, seed=0, steps=20, watch=None, **_):  # type: ignore[override]
        if caption == "a broken thing":
            raise RuntimeError("broken")
        steps = steps or 20
        for step in range(steps if watch else 0):
            self.gate.wait(20)
            number = torch.arange(count).view(count, 1, 1, 1).expand(count, views, 1, 1) * 1000 + seed
            watch(Unmasked(number, torch.zeros(count, views, 1, 1, 1)), torch.full(number.shape, step + 1 < steps))
        sets = [ViewSet([self.disc(i, seed)] * views, orbit(views, size=SIZE), {"caption": caption})
                for i in range(count)]  # fmt: skip
        return sets[2:] + sets[:2]

    def _ranked(self, caption, count, views, seed, progress, watch, sampling):
        return iter(self.samples(caption, count, views, seed=seed, watch=watch, **sampling))

    def from_reference(self, picture, views=4, *, caption="", as_view=False, symmetry=False, **options):  # type: ignore[override]
        red = int(picture[picture[..., 3] > 0][:, 0].mean())
        made = self.samples(caption, 1, views, **options)[0]
        making = Making(caption, digest(picture), "", views, options["seed"], weights="paint", runs_on="cpu, float32")
        extra = {"caption": caption, KEY: making.record()}
        return ViewSet([self.disc(i, options["seed"], red) for i in range(views)], made.cameras, extra)

    def edit(self, views, regions, caption="", *, seed=0, watch=None, **_):  # type: ignore[override]
        """Paints every region blue, darker with the seed."""
        for step in range(2 if watch else 0):
            self.gate.wait(20)
            number = torch.full((1, len(views), 8, 8), seed)
            watch(Unmasked(number, torch.zeros(1, len(views), 8, 8, 1)), number == (seed if step == 0 else -1))
        images = [image.copy() for image in views.images]
        for image, region in zip(images, regions, strict=True):
            image[region & (image[..., 3] > 0)] = 0, 0, 255 - seed % 100, 255
        return ViewSet(images, views.cameras, {"caption": caption or views.extra.get("caption", "")})

    def glimpse(self, known, unknown):
        numbers = known.tokens[:, :, 0, 0].tolist()
        return [[self.disc(n // 1000, n % 1000) for n in draw] for draw in numbers]


def ball(views, method="field", *, progress, **_):
    """A quick stand-in of `recon.reconstruct`: a ball in the colour of the views' middle."""
    progress("shaping", 0.5)
    sphere = trimesh.creation.icosphere(2)
    texture = np.full((16, 16, 3), views.images[0][SIZE // 2, SIZE // 2, :3])
    uv = (sphere.vertices[:, :2] + 1) / 2
    return TexturedMesh(sphere.vertices / 2, sphere.faces, uv, sphere.faces, texture)


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def record(self):
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert self.status >= 400
        assert "\n" not in self.record["error"]
        return self.record["error"]


@dataclass
class Visitor:
    """A browser without a page: keeps its cookie."""

    address: tuple
    cookie: str = ""

    def ask(self, path: str, method: str = "GET", body=None, **headers) -> Answer:
        connection = http.client.HTTPConnection(self.address[0], self.address[1], timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent["cookie"] = self.cookie
        if isinstance(body, dict | list):
            body, sent["content-type"] = json.dumps(body).encode(), "application/json"
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        done = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.close()
        return done

    def enter(self) -> "Visitor":
        self.cookie = self.ask("/").headers["set-cookie"].split(";")[0]
        return self

    def order(self, **order) -> dict:
        return self.ask("/api/jobs", "POST", {"steps": 2, "draws": 1} | order).record

    def wait(self, job: dict) -> dict:
        return until(lambda: self.ask(f"/api/jobs/{job['id']}").record, lambda job: job["state"] in OVER)


OVER = ("done", "failed", "cancelled")


def until(ask, good, seconds=400):
    """What `ask` says as soon as it is good."""
    end = time.monotonic() + seconds
    while not good(said := ask()):
        assert time.monotonic() < end, said
        time.sleep(0.05)
    return said


def png(picture) -> bytes:
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def box(background=255) -> np.ndarray:
    picture = np.full((60, 80, 3), background, np.uint8)
    picture[20:40, 30:50] = (30, 60, 200)
    return picture


@pytest.fixture
def painter(monkeypatch) -> Painter:
    monkeypatch.setattr(pipeline, "reconstruct", ball)
    painter = Painter()
    monkeypatch.setattr(Generator, "load", lambda *_, **__: painter)
    return painter


@pytest.fixture
def worker(painter, tmp_path):
    worker = Worker(painter, tmp_path / "results")
    worker.start()
    yield worker
    painter.gate.set()
    worker.stop()


@contextmanager
def serving(worker, hosts=frozenset({"127.0.0.1"}), auth=""):
    """A server of a worker in a thread; its address."""
    uvicorn = pytest.importorskip("uvicorn")
    from viewmask.app.server import application

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(worker, hosts, auth), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until(lambda: server.started, bool)
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture
def address(painter, tmp_path):
    with serving(Worker(painter, tmp_path / "results")) as address:
        yield address
        painter.gate.set()


@pytest.fixture
def visitor(address) -> Visitor:
    return Visitor(address).enter()
