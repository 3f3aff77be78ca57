"""The pages: their commands, options, links and paths exist, their sentences are short."""

import re
import statistics
from pathlib import Path
from typing import Any

import pytest
import typer

from viewmask_cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "*/weights/**/*.md") for page in ROOT.glob(pattern)
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
# Lists of makers are no prose.
PROSE = [page for page in PAGES if "credits" not in page.parts]
# Pages that are still in the old style; leave the list empty.
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def shown(page: Path) -> list[list[str]]:
    """The words of every viewmask, bench and studies command in a page's console blocks and in its `code`."""
    text = page.read_text()
    blocks = re.findall(r"```console\n(.*?)```", text, re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    lines += re.findall(r"`((?:viewmask|python (?:bench|studies)/)[^`\n]*)`", prose)
    found = []
    for line in lines:
        for part in re.split(r"[;|]|&&", line.removeprefix("$ ").split(" #")[0]):
            start = re.search(r"(?<![\w./-])(viewmask |python (?:bench|studies)/)", part)
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
            assert options <= {"--help", "--version", "--debug", "--install-completion"}, words
        else:
            assert words[1] in COMMANDS, words
            known = {name for option in COMMANDS[words[1]].params for name in (*option.opts, *option.secondary_opts)}
            assert options <= known | {"--help", "--debug"}, words


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text())
    assert [target for target, _ in links if not (page.parent / target).exists()] == []
    anchored = [(page.parent / target if target else page, anchor) for target, anchor in links if anchor]
    assert [f"{target.name}#{anchor}" for target, anchor in anchored if anchor not in anchors(target)] == []


def anchors(page: Path) -> list[str]:
    """What a link may name: a page's headings as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.S), re.M)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_the_check_sees_what_is_wrong(tmp_path):
    (tmp_path / "page.md").write_text("```console\n$ viewmask generate --txt chair\n```\n[gone](nowhere.md)\n")
    (tmp_path / "other.md").write_text("# The one\n[here](#the-one) [there](other.md#the-two)\n")
    with pytest.raises(AssertionError, match="--txt"):
        test_commands_exist_with_their_options(tmp_path / "page.md")
    with pytest.raises(AssertionError, match="nowhere"):
        test_links_lead_somewhere(tmp_path / "page.md")
    with pytest.raises(AssertionError, match="the-two"):
        test_links_lead_somewhere(tmp_path / "other.md")


# -- prose ------------------------------------------------------------------------------------------------


def sentences(page: str) -> list[str]:
    """The sentences of a page; code blocks, tables, headings, pictures and comments are left out.

    `code` and a link's text stand for themselves, an item of a list is a paragraph of its own.
    """
    page = re.sub(r"```.*?```|<!--.*?-->|!\[[^\]]*\]\([^)]*\)", "", page, flags=re.S)
    page = re.sub(r"`[^`]*`", "Code", page)
    page = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", page)
    lines = ["" if re.match(r"\s*[|#]", line) else line for line in page.splitlines()]
    text = re.sub(r"\n\s*(?:[-*]|\d+\.)\s", "\n\n", "\n" + "\n".join(lines))
    paragraphs = re.split(r"\n\s*\n", text)
    parts = [part for text in paragraphs for part in re.split(r"(?<=[.!?])[)*_]*\s+(?=[^a-z])", " ".join(text.split()))]
    return [part for part in parts if len(part.split()) > 1]


@pytest.mark.parametrize("page", PROSE, ids=[str(page.relative_to(ROOT)) for page in PROSE])
def test_sentences_are_short(page):
    parts = sentences(page.read_text())
    assert [part for part in parts if len(part.split()) > 30] == []
    assert statistics.median(len(part.split()) for part in parts) < 16


def test_sentences_are_told_apart():
    page = "# A heading of words\n\nOne `a b c` is here. Two is\nhere, by 0.5 more! See [the page](x.md).\n"
    page += "\n- an item\n- three\n"
    page += "1. four here\n\n| a | table |\n\n```console\n$ no words. None.\n```\n![no words here](x.jpg)\n"
    assert sentences(page) == [
        "One Code is here.", "Two is here, by 0.5 more!", "See the page.", "an item", "four here",
    ]  # fmt: skip


@pytest.mark.parametrize(("page", "limit"), [("README.md", 150), ("docs/RESULTS.md", 120)])
def test_pages_stay_short(page, limit):
    assert len((ROOT / page).read_text().splitlines()) <= limit


def test_the_file_tree_is_true():
    block = re.search(r"## Where is what\n\n```\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert block is not None
    folders = re.findall(r"(?:^|;  )(\w+)/ ", block[1], re.M)
    packages = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists() and path.name != "tests"}
    assert packages < set(folders)
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []


def test_the_first_commands_are_the_two():
    block = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert block is not None
    assert [line.split("#")[0].strip() for line in block[1].splitlines()] == ["$ make demo", "$ make test"]
