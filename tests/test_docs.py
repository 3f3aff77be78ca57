"""The pages: commands that they show exist, with the options that they give, and their links lead somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from viewmask_cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(page for pattern in ("*.md", "docs/**/*.md", "*/weights/**/*.md") for page in ROOT.glob(pattern))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def shown(page: Path) -> list[list[str]]:
    """The words of every viewmask and bench command in a page's console blocks and in its `code`."""
    text = page.read_text()
    blocks = re.findall(r"```console\n(.*?)```", text, re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`((?:viewmask|python bench/)[^`\n]*)`", re.sub(r"```.*?```", "", text, flags=re.S))
    found = []
    for line in lines:
        for part in re.split(r"[;|]|&&", line.removeprefix("$ ").split(" #")[0]):
            start = re.search(r"(?<![\w./-])(viewmask |python bench/)", part)
            if start:
                found.append(re.sub("[\"']", "", part[start.start() :]).split())
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist_with_their_options(page):
    for words in shown(page):
        options = {word.split("=")[0] for word in words if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}
        if words[0] == "python":
            assert (ROOT / words[1]).exists(), words
            source = (ROOT / words[1]).read_text()
            assert all(f'"{option}"' in source for option in options), words
        elif words[1].startswith("-"):
            assert options <= {"--help", "--version", "--debug"}, words
        else:
            assert words[1] in COMMANDS, words
            known = {name for option in COMMANDS[words[1]].params for name in (*option.opts, *option.secondary_opts)}
            assert options <= known | {"--help", "--debug"}, words


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_check_sees_what_is_wrong(tmp_path):
    (tmp_path / "page.md").write_text("```console\n$ viewmask generate --txt chair\n```\n[gone](nowhere.md)\n")
    with pytest.raises(AssertionError, match="--txt"):
        test_commands_exist_with_their_options(tmp_path / "page.md")
    with pytest.raises(AssertionError, match="nowhere"):
        test_links_lead_somewhere(tmp_path / "page.md")
