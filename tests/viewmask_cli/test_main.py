"""The command line as a whole: quick help, one-line errors, exit codes."""

import errno
import os
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from viewmask.errors import ViewmaskError
from viewmask_cli import main

COMMANDS = ("render", "tokenize", "train", "convert", "generate", "reconstruct", "eval", "doctor")
HEAVY = ("numpy", "torch", "PIL", "trimesh", "scipy", "skimage", "embreex", "pyarrow", "tokenizers", "safetensors")


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every command end in this error."""

    def fail(words):
        raise error

    monkeypatch.setattr(main, "_run", fail)


@pytest.mark.parametrize("words", [["--help"], ["generate", "--help"], []])
def test_help_loads_nothing_heavy(words):
    code = (
        "import sys\nfrom viewmask_cli.main import run\n"
        f"try: run({words})\nexcept SystemExit as leaving: code = leaving.code\n"
        f"print(code, [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_help_names_every_command():
    shown = CliRunner().invoke(main.app, ["--help"])
    assert shown.exit_code == 0
    assert all(command in shown.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_shows_an_example(command):
    shown = CliRunner().invoke(main.app, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    assert re.search(rf"Example: viewmask {command}\b", shown.output)


def test_the_version_is_that_of_the_distribution(shell):
    from importlib.metadata import version

    assert shell("--version").out.strip() == version("viewmask-1-to-3")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["paint"], "No such command 'paint'"),
        (["generate", "--colour", "red"], "No such option: --colour"),
        (["generate", "--text", "x", "--views", "-4"], "'--views'"),
        (["generate", "--text", "x", "--steps", "0"], "'--steps'"),
        (["generate", "--text", "x", "--schedule", "sigmoid"], "'cosine', 'linear', 'quadratic'"),
        (["generate", "--text", "x", "--temperature", "-1"], "'--temperature'"),
        (["generate", "--text", "x", "--guidance", "-0.5"], "'--guidance'"),
        (["generate", "--text", "x", "--order", "raster"], "'confidence', 'halton'"),
        (["generate", "--text", "x", "--remask", "1"], "'--remask'"),
        (["generate", "--text", "x", "--samples", "0"], "'--samples'"),
        (["generate", "--text", "x", "--seed", "-1"], "'--seed'"),
        (["generate", "--text"], "'--text'"),
        (["render", "--size", "-1"], "'--size'"),
        (["render", "--views", "0"], "'--views'"),
        (["render", "--workers", "0"], "'--workers'"),
        (["render", "--engine", "eevee"], "'raycast', 'blender'"),
        (["render", "--elevation", "95"], "'--elevation'"),
        (["reconstruct", "--faces", "-5"], "'--faces'"),
        (["reconstruct", "--texture", "0"], "'--texture'"),
        (["train"], "'stage'"),
        (["train", "everything"], "'tokenizer', 'decoder', 'align', 'i2mv', 't2mv'"),
        (["train", "i2mv", "--steps", "0"], "'--steps'"),
        (["train", "i2mv", "--preset", "huge"], "'nano', 'small'"),
        (["tokenize"], "VIEWS"),
        (["eval", "--views", "0"], "'--views'"),
        (["eval", "--protocol", "magic"], "'viewmask'"),
    ],
)
def test_a_wrong_word_is_one_line_that_names_it_and_the_help(shell, words, says):
    error = shell(*words).error
    assert says in error
    assert re.search(r"see viewmask( \w+)? --help$", error)


def test_an_expected_failure_is_one_line(shell, monkeypatch):
    raising(ViewmaskError("no view set in\nfolder: name another"), monkeypatch)
    assert shell("doctor").error == "no view set in folder: name another"


@pytest.mark.parametrize("where", [["--debug", "doctor"], ["doctor", "--debug"]])
def test_debug_shows_where_it_came_from(shell, monkeypatch, where):
    raising(ViewmaskError("no view set"), monkeypatch)
    done = shell(*where)
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.endswith("error: no view set\n")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "views/000.png"), r"the disk is full \(views/000\.png\)"),
        (PermissionError(errno.EACCES, "Permission denied", "views"), r"Permission denied \(views\)"),
        (MemoryError(), "out of memory"),
    ],
)
def test_what_the_machine_refuses_is_one_line(shell, monkeypatch, error, says):
    raising(error, monkeypatch)
    assert re.match(says, shell("doctor").error)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interrupted_command_says_so(shell, monkeypatch, error):
    raising(error, monkeypatch)
    done = shell("doctor")
    assert (done.code, done.err) == (130, "error: interrupted: nothing was left half-written\n")


def test_a_bug_keeps_its_traceback(monkeypatch):
    raising(ZeroDivisionError("a bug"), monkeypatch)
    with pytest.raises(ZeroDivisionError):
        main.run(["doctor"])


def test_a_reader_that_goes_away_is_no_error():
    code = (
        "import sys\nfrom viewmask_cli import main\n"
        "main._run = lambda words: [print('line ' * 20) for _ in range(20000)] and 0\nmain.run([])"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        assert done.stdout.readline().startswith("line line")
        done.stdout.close()
        assert done.stderr.read() == ""
    assert done.returncode == 141


def test_colour_is_for_terminals_only(capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main._say("x") == 2
    assert capsys.readouterr().err == "error: x\n"
    monkeypatch.setattr(main.sys.stderr, "isatty", lambda: True)
    main._say("x")
    assert capsys.readouterr().err == "\033[31merror:\033[0m x\n"
    monkeypatch.setenv("NO_COLOR", "1")
    main._say("x")
    assert capsys.readouterr().err == "error: x\n"


@pytest.mark.parametrize(("processes", "ends"), [("1", ["handler", "torn down"]), ("2", ["handler"])])
def test_one_of_several_processes_ends_before_its_interpreter_does(processes, ends):
    # A thread of gloo that lets go of a tensor while the interpreter is taken down would abort the process.
    code = (
        "import atexit, sys\nfrom viewmask_cli.main import run\n"
        "class Tensor:\n    def __del__(self): print('torn down')\n"
        "held = Tensor()\natexit.register(print, 'handler')\nrun()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "eval", "--bench", "nothing"], env=os.environ | {"WORLD_SIZE": processes},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()) == (2, ends)
    assert done.stderr.startswith("error: ")
