"""The command line: which commands there are, and what an error looks like.

Nothing heavy is imported here, so that `viewmask --help` answers at once; each command imports what it needs.
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from viewmask.errors import ViewmaskError
from viewmask.learning import processes
from viewmask.version import VERSION
from viewmask_cli.app import app as page
from viewmask_cli.caption import caption
from viewmask_cli.convert import convert
from viewmask_cli.doctor import doctor
from viewmask_cli.edit import edit
from viewmask_cli.eval import evaluate
from viewmask_cli.generate import generate
from viewmask_cli.reconstruct import reconstruct
from viewmask_cli.render import render
from viewmask_cli.threads import make_way
from viewmask_cli.tokenize import tokenize
from viewmask_cli.train import train

app = typer.Typer(
    name="viewmask",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A sentence or a picture in, four consistent views and a textured mesh out.\n\n"
    'Start with: viewmask generate --text "a red chair" --mesh',
)


def _version(print_it: bool) -> None:
    if print_it:
        print(VERSION)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """`run` takes --debug out before typer sees it: it may stand anywhere."""


app.command()(generate)
app.command()(reconstruct)
app.command()(edit)
app.command()(caption)
app.command()(render)
app.command()(tokenize)
app.command()(train)
app.command()(convert)
app.command("eval")(evaluate)
app.command("app")(page)
app.command()(doctor)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code: 0 done, 1 a repetition that differs or a batch of which some
    failed, 2 an expected failure, 130 interrupted.

    An expected failure is one line on standard error. `--debug` may stand anywhere.
    """
    make_way()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        code = _run(words)
        sys.stdout.flush()
    except BaseException as error:
        if debug and not isinstance(error, SystemExit):
            traceback.print_exc()
        code = _complain(error)
    if arguments is None and processes.launched():  # a caller that passes arguments goes on
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End one of several processes without taking its interpreter down.

    Meanwhile a thread of torch's gloo may still hold a tensor of the last exchange. To let go of it then aborts the
    process (pytorch/pytorch#179291), and the launcher takes a training that is done for one that failed.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(words: list[str]) -> int:
    result = typer.main.get_command(app).main(words, prog_name="viewmask", standalone_mode=False)
    return result if isinstance(result, int) else 0


def _complain(error: BaseException) -> int:
    """Say what went wrong in one line; the exit code. Whatever nobody expected is raised again."""
    match error:
        case ViewmaskError():
            return _say(str(error))
        case KeyboardInterrupt() | typer.Abort():
            return _say("interrupted: nothing was left half-written", code=130)
        case BrokenPipeError():
            # The reader (`| head`) has gone. Python flushes standard output once more at exit: give it a place.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        case OSError(errno=errno.ENOSPC):
            return _say(f"the disk is full{_of(error)}: free some space, or choose another --out")
        case OSError():
            return _say(f"{error.strerror or error}{_of(error)}")
        case MemoryError():
            return _say("out of memory: ask for less at once (--samples, --views, --workers, --texture)")
        case _ if hasattr(error, "format_message"):  # typer's usage errors, whichever click they come from
            return _usage(error)
        case _:
            raise error


def _usage(error: BaseException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # the help has been shown
        return 0
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "viewmask"
    message = error.format_message().rstrip(".")  # type: ignore[attr-defined]
    return _say(f"{message}: see {command} --help")


def _of(error: OSError) -> str:
    return f" ({error.filename})" if error.filename else ""


def _say(message: str, code: int = 2) -> int:
    line = " ".join(message.split())
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print(f"\033[31merror:\033[0m {line}" if colour else f"error: {line}", file=sys.stderr)
    return code
