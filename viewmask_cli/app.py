"""`viewmask app`: the web page."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask_cli.options import DeviceOption, PrecisionOption, WeightsOption
from viewmask_cli.progress import note, working

PORT = 7860
_TRIED = 20  # ports, unless one is named


def app(
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but this machine's own wants --auth.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port.", show_default=f"{PORT}, or the next one that is free")
    ] = None,
    auth: Annotated[
        str, typer.Option(metavar="USER:PASSWORD", envvar="VIEWMASK_AUTH", help="Ask for a user and a password.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder that keeps the results.", show_default="a temporary one"),
    ] = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Open a page on this machine: a sentence or a picture in, views as they unmask, a mesh to turn and download.

    The work is that of `viewmask generate`, one order after the other. The page shows the command that makes the same
    files. Nothing is sent elsewhere, and nothing is fetched: it works without a network. Ctrl-C ends it.

    Example: viewmask app
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise ViewmaskError("the page needs two more packages: pip install 'viewmask-1-to-3[app]'") from error
    from viewmask.app.server import application, is_loopback
    from viewmask.app.worker import Worker

    here = is_loopback(host)
    if auth and not all(auth.partition(":")):
        raise ViewmaskError("--auth wants USER:PASSWORD")
    if not here and not auth:
        raise ViewmaskError(f"others can reach {host}: give --auth USER:PASSWORD, too")
    if out is not None:
        atomic.attempt(out)
    listening = _listen(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"

    with working("loading the model"):
        from viewmask.generator import Generator

        generator = Generator.load(weights, device, precision)
    if generator.weights.runs_on.place.type != "cpu":
        note(f"running on {generator.weights.runs_on}")
    folder = Path(tempfile.mkdtemp(prefix="viewmask-app-")) if out is None else out
    options = [word for name, value in (("--weights", weights), ("--device", device), ("--precision", precision))
               if value not in (None, "auto") for word in (name, str(value))]  # fmt: skip
    worker = Worker(generator, folder, options, keep=out is not None)
    names = frozenset({"127.0.0.1", "localhost", "::1", host}) if here else None
    settings = uvicorn.Config(
        application(worker, names, auth), log_level="error", access_log=False, server_header=False,
        timeout_graceful_shutdown=2, h11_max_incomplete_event_size=2**16,
    )  # fmt: skip
    print(address, flush=True)
    note("the page is open there; Ctrl-C ends it" if here else "the password is sent as it is: put TLS before it")
    if browser and _has_screen():
        import webbrowser

        webbrowser.open(address)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run(sockets=[listening])


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket on the port, or on the first of some that is free.

    Raises:
        ViewmaskError: none is, or there is no such address here.
    """
    last: OSError | None = None
    for number in [port] if port else range(PORT, PORT + _TRIED):
        try:
            family, _, _, _, where = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            listening = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise ViewmaskError(f"there is no address {host} here: {error.strerror or error}") from error
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(where)
            return listening
        except OSError as error:
            listening.close()
            last = error
    named = f"port {port}" if port else f"no port from {PORT} to {PORT + _TRIED - 1}"
    raise ViewmaskError(f"cannot listen on {host}, {named}: {last.strerror if last else ''}: try another --port")


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
