"""Shell completion, installed and asked in real shells."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path):
    """A home of its own with `viewmask` on its path."""
    program = tmp_path / "bin" / "viewmask"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n")
    with program.open("a") as file:
        file.write("from viewmask_cli.main import run\nrun()\n")
    program.chmod(0o755)
    return tmp_path


def ask(home, shell, script):
    """What a script prints in a shell."""
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ZDOTDIR"))}
    here = kept | {"HOME": str(home), "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "SHELL": f"/bin/{shell}"}
    flags = ["--norc"] if shell == "bash" else ["--no-rcs"]
    done = subprocess.run(
        [shell, *flags, "-c", script], cwd=home, env=here, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bash_completes_commands_options_and_values(home):
    words = ['"viewmask gen"', '"viewmask generate --mes"', '"viewmask generate --schedule l"']
    script = "viewmask --install-completion\nsource ~/.bashrc\n"
    for line in words:
        script += f"COMP_WORDS=({line[1:-1]}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
        script += '_viewmask_completion viewmask; echo "=> ${COMPREPLY[*]}"\n'
    seen = [line.removeprefix("=> ") for line in ask(home, "bash", script).splitlines() if line.startswith("=> ")]
    assert seen == ["generate", "--mesh", "linear"]


def test_zsh_completes_commands_and_options(home):
    script = 'viewmask --install-completion\nsource ~/.zshrc\necho -E "=> $_comps[viewmask]"\n'
    for line in ("viewmask gen", "viewmask generate --mes"):
        script += f'_VIEWMASK_COMPLETE=complete_zsh _TYPER_COMPLETE_ARGS="{line}" viewmask\n'
    seen = ask(home, "zsh", script)
    assert "=> _viewmask" in seen
    assert '"generate":"Turn a sentence or a picture' in seen
    assert '"--mesh":"Also write mesh.glb and page.html."' in seen
