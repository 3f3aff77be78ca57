"""The worker: one thread that makes what was ordered, one after the other, and stops when it is told to."""

from __future__ import annotations

import queue
import re
import secrets
import shlex
import shutil
import sys
import threading
import time
import traceback
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from recon import region as regions_of
from viewmask import pipeline
from viewmask.app.order import Edit, Order
from viewmask.app.photo import Photo, sheet
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.slug import slug
from viewmask.model.reference import reference_view
from viewmask.views.cutout import CUTOUT
from viewmask.views.picture import resize
from viewmask.views.viewset import ViewSet

if TYPE_CHECKING:  # it loads torch, which the worker's own thread does
    from torch import Tensor

    from viewmask.generator import Generator
    from viewmask.model.sampler import Unmasked, Watch

VIEWS, OBJ, LAST, REGION = "views.zip", "obj.zip", "last.webp", "region.png"
MESHES = {"mesh.glb": "model/gltf-binary", "mesh.ply": "application/octet-stream", "mesh.stl": "model/stl",
          "mesh.3mf": "model/3mf"}  # fmt: skip
FILES = {**MESHES, OBJ: "application/zip", VIEWS: "application/zip", "page.html": "text/html", LAST: "image/webp",
         REGION: "image/png"}  # fmt: skip
"""What of a job may be fetched."""

WAITING, MOST_JOBS = 4, 12
"""How many orders one person may have in the queue, and how many results are kept of everybody's."""

_SIDE = 256, 128  # of a view while it unmasks: one draw, several


class Cancelled(Exception):  # noqa: N818 - nothing went wrong
    """Raised inside the work when somebody has cancelled it."""


@dataclass(eq=False)
class Job:
    """An order on its way.

    Attributes:
        owner: whose it is; nobody else may see it.
        order: what was asked.
        photo: the picture as it was cut out when it was ordered.
        base: the job whose views are edited.
        region: of the view that the edit names, bool [height, width].
        turn: of the edits of `base`, counted from 1.
        folder: where its files are.
        state: "waiting", "views", "mesh", "done", "failed" or "cancelled".
        doing: the step of the mesh.
        step: sampling steps done: so many pictures of steps there are.
        share: of the mesh.
        kept: which draw was kept.
        side, grid: pixels and tokens of a view's side.
        notes: what people should know, a line each.
        error: why there is nothing.
    """

    owner: str
    order: Order | Edit
    photo: Photo | None
    folder: Path
    base: Job | None = None
    region: regions_of.Mask | None = None
    turn: int = 0
    key: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: str = "waiting"
    doing: str = ""
    step: int = 0
    share: float = 0.0
    kept: int | None = None
    side: int = 0
    grid: int = 0
    notes: list[str] = field(default_factory=list)
    error: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def passes(self) -> int:
        """How much work its sampling is, in passes of one draw."""
        return self.order.settings.steps * self.order.views * self.draws

    @property
    def draws(self) -> int:
        """How many draws are made side by side."""
        return self.order.draws if isinstance(self.order, Order) and not self.photo else 1

    @property
    def name(self) -> str:
        """Of the folder that the command line writes."""
        if self.base is not None:
            return f"{self.base.name}-edited" + (f"-{self.turn}" if self.turn > 1 else "")
        return slug(Path(self.photo.source[0]).stem if self.photo else self.order.text) + (
            f"-{self.order.seed}" if self.order.seed else ""
        )

    def files(self) -> list[str]:
        """The files that can be fetched."""
        return [name for name in FILES if (self.folder / name).is_file()]


class Worker:
    """Makes jobs one after the other in a thread of its own.

    Args:
        generator: makes the views.
        folder: where results go, a folder for each job.
        options: words that the command of every job needs, too: which weights, which device.
        keep: leave the results when the worker stops.
    """

    def __init__(self, generator: Generator, folder: Path, options: Sequence[str] = (), keep: bool = False) -> None:
        self.jobs: dict[str, Job] = {}
        self.folder, self.options, self.keep = folder, options, keep
        self._generator = generator
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._line: deque[Job] = deque()  # those that wait, and the one that is made
        self._pace: float | None = None  # seconds of a pass
        self._mesh: float | None = None  # seconds of a mesh
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Cancel everything, wait until the thread has ended, and clear up."""
        for job in list(self._line):
            self.cancel(job)
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def submit(self, owner: str, order: Order, photo: Photo | None = None) -> Job:
        """Put an order into the queue.

        Raises:
            ViewmaskError: too many wait already.
        """
        return self._submit(Job(owner, order, photo, self.folder))

    def edit(self, base: Job, order: Edit, region: regions_of.Mask) -> Job:
        """Put an edit of a job's views into the queue; its owner's.

        Args:
            region: of the view that the edit names, bool [height, width].

        Raises:
            ViewmaskError: too many wait already.
        """
        turns = [
            job.turn for job in self.jobs.values() if job.base is base and job.state not in ("failed", "cancelled")
        ]
        turn = 1 + max(turns, default=0)
        return self._submit(Job(base.owner, order, None, self.folder, base=base, region=region, turn=turn))

    def _submit(self, job: Job) -> Job:
        if sum(other.owner == job.owner for other in list(self._line)) >= WAITING:
            raise ViewmaskError(f"{WAITING} of yours wait already: let one end, or cancel one")
        if len(self._line) >= 4 * WAITING:
            raise ViewmaskError("the queue is full: try again in a few minutes")
        job.folder = self.folder / job.key
        self.jobs[job.key] = job
        self._line.append(job)
        self._queue.put(job)
        self._forget()
        return job

    def cancel(self, job: Job) -> None:
        """Cancel a job: one that waits is over at once, one that is made stops at its next step."""
        job.cancelled.set()
        if job.state == "waiting":
            self._end(job, "cancelled")

    def ahead(self, job: Job) -> int:
        """How many come before it."""
        line = list(self._line)
        return line.index(job) if job in line else 0

    def left(self, job: Job) -> float | None:
        """Seconds until a job is done, as far as earlier steps tell."""
        if job.over or self._pace is None:
            return None
        before = list(self._line)[: self.ahead(job)]
        return sum(self._needs(each) for each in [*before, job])

    def _needs(self, job: Job) -> float:
        assert self._pace is not None
        # An edit of few tokens needs fewer steps than were asked for.
        passes = 0 if job.state == "mesh" else job.passes * (1 - job.step / job.order.settings.steps)
        whole = self._mesh if self._mesh is not None else 8.0  # until one was made
        if isinstance(job.order, Edit) and not job.order.mesh:
            whole = 0
        return passes * self._pace + whole * (1 - job.share)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            if job.over:
                continue
            try:
                self._make(self._generator, job)
                self._end(job, "done")
            except Cancelled:
                shutil.rmtree(job.folder, ignore_errors=True)
                job.step = 0
                self._end(job, "cancelled")
            except ViewmaskError as error:
                job.error = str(error)
                self._end(job, "failed")
            except MemoryError:
                job.error = "out of memory: ask for fewer draws or views"
                self._end(job, "failed")
            except Exception:  # the page lives on; who runs it sees where it came from
                traceback.print_exc(file=sys.stderr)
                job.error = "something unexpected went wrong: the terminal of viewmask app says where"
                self._end(job, "failed")

    def _end(self, job: Job, state: str) -> None:
        job.state = state
        if job in self._line:
            self._line.remove(job)

    def _forget(self) -> None:
        """Remove the oldest results: a disk is not endless."""
        needed = [job.base for job in list(self._line)]
        over = [job for job in self.jobs.values() if job.over and job not in needed]
        for job in over[:-MOST_JOBS]:
            del self.jobs[job.key]
            shutil.rmtree(job.folder, ignore_errors=True)

    def _make(self, generator: Generator, job: Job) -> None:
        steps = _Steps(generator, job, self._measure)
        job.state = "views"
        outcome = (self._edited if isinstance(job.order, Edit) else self._generated)(generator, job, steps)
        job.notes += outcome.notes
        job.kept = _kept(steps.draws, outcome.views)
        self._write(job, outcome.views)

    def _generated(self, generator: Generator, job: Job, watch: Watch) -> pipeline.Outcome:
        order, reference, known = job.order, None, list[str]()
        assert isinstance(order, Order)
        if job.photo is not None:
            if job.photo.shown is None:
                raise ViewmaskError(job.photo.trouble)
            reference = reference_view(job.photo.shown.picture)
            known += job.photo.shown.notes
            job.notes.append(f"the object was cut out by {job.photo.shown.how}")
        known += pipeline.word_notes(generator, order.text)
        job.notes += known
        return pipeline.generate(
            generator, order.text, reference, order.views, draws=order.draws, seed=order.seed, watch=watch,
            cutout=job.photo.shown.way if job.photo and job.photo.shown else "", notes=known,
            speed=order.speed, steps=order.steps, schedule=order.schedule, guidance=order.guidance,
        )  # fmt: skip

    def _edited(self, generator: Generator, job: Job, watch: Watch) -> pipeline.Outcome:
        order, base, region = job.order, job.base, job.region
        assert isinstance(order, Edit)
        assert base is not None
        assert region is not None
        job.notes += pipeline.word_notes(generator, order.text)
        atomic.write_with(job.folder / REGION, lambda temporary: Image.fromarray(region).save(temporary, "PNG"))
        views = ViewSet.load(base.folder / "views")
        regions = regions_of.regions(region, order.view, views, order.everywhere)
        return pipeline.edit(
            generator, views, regions, order.text, seed=order.seed, watch=watch, guidance=order.guidance
        )

    def _measure(self, job: Job, taken: float) -> None:
        self._pace = taken * job.order.settings.steps / (job.passes * job.step)

    def _write(self, job: Job, views: ViewSet) -> None:
        def progress(step: str, share: float) -> None:
            if job.cancelled.is_set():
                raise Cancelled
            job.doing, job.share = step, share

        folder = job.folder / "views"
        files = pipeline.write_views(views, folder)
        if job.photo is not None and job.photo.shown is not None:
            files.append(pipeline.write_picture(job.photo.shown.picture, folder / CUTOUT))
        _zip(files, job.folder / VIEWS)
        _save(sheet([views.images], _SIDE[0]), job.folder / LAST)
        job.side = len(views.images[0])
        if isinstance(job.order, Edit) and not job.order.mesh:
            return
        job.state, begun = "mesh", time.monotonic()
        progress("", 0.0)
        try:
            _, mesh = pipeline.write_mesh(views, job.folder / "mesh.glb", job.folder / "page.html", progress=progress)
            for name in MESHES:
                if name != "mesh.glb":
                    progress("writing", 0.98)
                    mesh.save(job.folder / name)
            _zip(mesh.save(job.folder / "obj" / "mesh.obj"), job.folder / OBJ)
        except ViewmaskError as error:
            job.notes.append(f"no mesh: {error}")
            return
        job.notes += mesh.notes
        self._mesh = time.monotonic() - begun


class _Steps:
    """Saves a picture of every step of a job, and stops where it is cancelled.

    Args:
        measure: told the job and the seconds since it began, after each step.
    """

    def __init__(self, generator: Generator, job: Job, measure: Callable[[Job, float], None]) -> None:
        self.draws: list[list[np.ndarray]] = []
        self._generator, self._job, self._measure = generator, job, measure
        self._begun = time.monotonic()

    def __call__(self, known: Unmasked, unknown: Tensor) -> None:
        job, draws = self._job, self.draws
        if job.cancelled.is_set():
            raise Cancelled
        job.grid = unknown.shape[-1]
        # A picture takes about as long as a step of its draw: of several, one is shown anew at a step.
        last = job.step + 1 == job.order.settings.steps
        if last or not draws:
            draws[:] = self._generator.glimpse(known, unknown)
        else:
            one = slice(turn := job.step % len(draws), turn + 1)
            part = replace(known, tokens=known.tokens[one], soft=known.soft[one])
            draws[turn] = self._generator.glimpse(part, unknown[one])[0]
        _save(sheet(draws, _SIDE[len(draws) > 1]), job.folder / f"{job.step + 1}.webp")
        job.step += 1
        self._measure(job, time.monotonic() - self._begun)


def _kept(draws: list[list[np.ndarray]], views: ViewSet) -> int | None:
    """Which of several draws the kept views were made of: the nearest, for they may have been refined since."""
    if len(draws) < 2:
        return None
    final = np.stack([resize(image, draws[0][0].shape[0]) for image in views.images]).astype(np.int16)
    return int(np.argmin([np.abs(final - np.stack(draw)).mean() for draw in draws]))


def _save(picture: Image.Image, path: Path) -> None:
    atomic.write_with(path, lambda temporary: picture.save(temporary, "WEBP", quality=85, method=2))


def _zip(files: Iterable[Path], path: Path) -> None:
    """Files of one folder as an archive; the same files give the same bytes."""

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes(), zipfile.ZIP_DEFLATED)

    atomic.write_with(path, write)


def _quoted(word: str) -> str:
    """A word as shells read it; plain sentences as shells of Windows read them, too."""
    return f'"{word}"' if re.fullmatch(r"[\w.,-][\w ,.-]* [\w ,.-]*", word) else shlex.quote(word)


def commands(worker: Worker, job: Job) -> list[str]:
    """The commands that make a job's files, a line each: an edit's come after those of its views."""
    order = job.order
    if isinstance(order, Edit):
        assert job.base is not None, "an edit is one of something"
        earlier = commands(worker, job.base)
        words = order.words(job.base.name, f"{job.name}-{REGION}", job.name if job.turn > 1 else "")
    else:
        earlier, words = [], order.words(*(job.photo.source if job.photo else ()))
    return [*earlier, " ".join(map(_quoted, [*words, *worker.options]))]


def described(worker: Worker, job: Job) -> dict[str, Any]:
    """A job as the page is told of it."""
    order, root = job.order, job
    while root.base is not None:
        root = root.base
    return {
        "id": job.key, "state": job.state, "text": order.text, "draws": job.draws,
        "views": order.views, "steps": order.settings.steps, "step": job.step, "doing": job.doing, "share": job.share,
        "kept": job.kept, "ahead": worker.ahead(job), "left": worker.left(job),
        "notes": job.notes, "error": job.error, "command": "\n".join(commands(worker, job)), "name": job.name,
        "base": job.base.key if job.base and job.base.key in worker.jobs else "", "edit": job.base is not None,
        "side": job.side, "grid": job.grid,
        "files": job.files() if job.over else [], "picture": job.photo.name if job.photo else "",
        "mended": root.photo is not None and root.photo.source[0] == CUTOUT,
    }  # fmt: skip
