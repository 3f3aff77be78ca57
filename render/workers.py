"""Worker processes that live across objects and are watched from outside.

Each holds one job at a time. A worker that crashes, hangs or grows too large is killed with all its children; the job
it held is lost, and nothing else. A worker that has grown or served long is replaced between two jobs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import connection
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from render.settings import Limits
from viewmask.errors import ViewmaskError

Job = TypeVar("Job")
Record = dict[str, Any]

START_SECONDS = 300.0
WATCH_SECONDS = 0.5  # between two looks at the clock and at memory
PAGE = 4096
PARENT_DEATH = 1  # Linux's prctl(PR_SET_PDEATHSIG)
LOG_END = 2000  # characters of a log, kept with a failure


class Workers(Generic[Job]):
    """So many worker processes that run `work(job)`.

    Args:
        work: picklable. It returns a job's record, or raises ViewmaskError where no further job makes sense.
        prepare: called once in every new worker.
        count: of workers.
        environment: variables set in the workers.
    """

    def __init__(
        self,
        work: Callable[[Job], Record],
        prepare: Callable[[], object],
        count: int,
        limits: Limits,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._arguments = (work, prepare, environment or {})
        self._limits = limits
        self._count = count
        self._workers: list[_Worker] = []

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Record]]:
        """Every job with its record, as they come. If its worker was lost, the record is `lost` (why) and `stderr`.

        Raises:
            ViewmaskError: raised by `work`, or a worker cannot start.
        """
        waiting = deque(jobs)
        while len(self._workers) < min(self._count, len(waiting)):
            self._workers.append(_Worker(*self._arguments))
        while waiting or any(worker.busy for worker in self._workers):
            for index, worker in enumerate(self._workers):
                if waiting and not worker.busy:
                    if worker.worn(self._limits):
                        worker.end()
                        worker = self._workers[index] = _Worker(*self._arguments)
                    worker.begin(waiting.popleft())
            pipes = [worker.pipe for worker in self._workers if worker.busy]
            connection.wait(pipes, timeout=WATCH_SECONDS)
            for index, worker in enumerate(self._workers):
                if worker.busy and (record := worker.look(self._limits)) is not None:
                    job, worker.job = worker.job, None
                    if "lost" in record:
                        worker.end()
                        self._workers[index] = _Worker(*self._arguments)
                    yield job, record

    def __enter__(self) -> Workers[Job]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers at once, whatever they hold."""
        for worker in self._workers:
            worker.end()
        self._workers = []


class _Worker:
    """One process, its pipe and the folder for its scratch files."""

    def __init__(self, work: Callable[[Any], Record], prepare: Callable[[], object], variables: dict[str, str]) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="viewmask-worker-"))
        self.job: Any = None
        self._served, self._ready = 0, False
        self._since = time.monotonic()
        self.pipe, far_end = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        arguments = (far_end, self.scratch, os.getpid(), work, prepare)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        before = {name: os.environ.get(name) for name in variables}
        os.environ |= variables
        try:
            with _bare_main(work):
                self._process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        far_end.close()

    @property
    def busy(self) -> bool:
        return self.job is not None

    def begin(self, job: Any) -> None:
        self.job, self._since = job, time.monotonic()
        self._served += 1
        with contextlib.suppress(OSError):  # it is dead, as the next look will show
            self.pipe.send(job)

    def look(self, limits: Limits) -> Record | None:
        """The record of the job at hand, if there is one by now. If it says `lost`, the worker is dead or must die."""
        seconds = time.monotonic() - self._since
        try:
            if self.pipe.poll():
                answer = self.pipe.recv()
                if answer == "ready":
                    self._ready, self._since = True, time.monotonic()
                    return None
                if isinstance(answer, str):
                    raise ViewmaskError(answer)
                record: Record = answer
                return record
        except (EOFError, OSError):
            self._process.join(5)
            if not self._ready:
                raise ViewmaskError(f"a worker could not start: {self._last_line()}") from None
            return self._lost(f"the process that made it died ({death(self._process.exitcode)})")
        if not self._ready and seconds > START_SECONDS:
            raise ViewmaskError(f"a worker did not start within {START_SECONDS:.0f} s: {self._last_line()}")
        if self._ready and seconds > limits.seconds:
            return self._lost(f"took longer than {limits.seconds:g} s")
        if (memory := self._mebibytes()) > limits.mebibytes:
            return self._lost(f"took {memory} MiB of memory, more than {limits.mebibytes}: --memory raises the limit")
        return None

    def worn(self, limits: Limits) -> bool:
        """Whether it should be replaced before its next job."""
        return self._served >= limits.jobs or 2 * self._mebibytes() > limits.mebibytes

    def end(self) -> None:
        """Kill it with its children, and remove their scratch files."""
        if self._process.pid is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._process.kill()
        self._process.join()
        self.pipe.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _lost(self, reason: str) -> Record:
        return {"lost": reason, "stderr": last_words(self._log())}

    def _log(self) -> str:
        logs = sorted(self.scratch.rglob("log"))  # its own, and its Blender's
        return "\n".join(text for log in logs if (text := log.read_text(errors="replace").strip()))

    def _last_line(self) -> str:
        return next(iter(self._log().splitlines()[-1:]), "no message")

    def _mebibytes(self) -> int:
        """Memory in use by the process and its children; 0 where that cannot be told."""
        if sys.platform != "linux" or self._process.pid is None:
            return 0
        return sum(map(_resident, [self._process.pid, *_children(self._process.pid)])) * PAGE // 2**20


@contextlib.contextmanager
def _bare_main(work: Callable[[Any], Record]) -> Iterator[None]:
    """Start a process that does not run the caller's script again: a script needs no guard for its main part then.

    Where the work itself is defined in the script, it must be run.
    """
    main = sys.modules["__main__"]
    whole = work
    while isinstance(whole, partial):
        whole = whole.func
    if getattr(whole, "__module__", "__main__") != "__main__":
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (OSError, ValueError):
        return []


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _serve(
    pipe: connection.Connection,
    scratch: Path,
    parent: int,
    work: Callable[[Any], Record],
    prepare: Callable[[], object],
) -> None:
    """A worker's life: a job in, its record out, until the pipe closes."""
    die_with(parent)
    os.setpgid(0, 0)  # one group with its children, and out of reach of the terminal's Ctrl-C
    log = (scratch / "log").open("ab")
    os.dup2(log.fileno(), 2)
    os.dup2(2, 1)  # libraries that chat on standard output would spoil the parent's
    faulthandler.enable()
    tempfile.tempdir = str(scratch)
    try:
        prepare()
        pipe.send("ready")
        while True:
            job = pipe.recv()
            os.truncate(log.name, 0)
            try:
                record = work(job)
            except ViewmaskError as error:
                pipe.send(str(error))
            else:
                pipe.send(record)
    except EOFError:
        os._exit(0)
    except BaseException:  # the parent reads these last words
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def die_with(parent: int) -> None:
    """End this process together with its parent, on Linux; elsewhere the closed pipe ends it after its job."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def last_words(log: str) -> str:
    """The end of a process's log, without Python's list of loaded modules after a crash."""
    lines = [line for line in log.strip().splitlines() if not line.startswith("Extension modules: ")]
    return "\n".join(lines)[-LOG_END:]


def death(code: int | None) -> str:
    """An exit code in words: a signal by its name."""
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return name + (": killed from outside, perhaps for want of memory" if name == "SIGKILL" else "")
