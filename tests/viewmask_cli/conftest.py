"""What the command line's tests share: a home of their own, and a way to run it as a shell would."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from viewmask_cli import main


@dataclass
class Done:
    """What a shell sees of a finished command."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an expected failure; fails if there is more, less, or a traceback."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert (self.code, len(lines)) == (2, 1), self
        assert "Traceback" not in self.err
        assert self.err.splitlines()[-1] == lines[0]
        return lines[0].removeprefix("error: ")


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def shell(capsys) -> Callable[..., Done]:
    """Run `viewmask WORDS...` in this process."""

    def viewmask(*words: object) -> Done:
        with pytest.raises(SystemExit) as leaving:
            main.run([str(word) for word in words])
        seen = capsys.readouterr()
        return Done(int(str(leaving.value.code)), seen.out, seen.err)

    return viewmask
