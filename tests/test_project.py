"""What a project owes: credits for every object, a licence for every package, pages that the site finds, examples."""

import json
import re
import tomllib
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import SHARED
from viewmask.views.cutout import cut
from viewmask.views.picture import picture_of
from viewmask_cli.batch import sentences

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SETS = sorted(page.stem for page in (ROOT / "docs" / "credits").glob("*.md"))


def credited() -> Counter[str]:
    """How many objects of each set CREDITS.md tells of."""
    counts: Counter[str] = Counter()
    for name, count in re.findall(r"^\| (\w+) \| [^|]* \| (\d+) \|", (ROOT / "CREDITS.md").read_text(), re.M):
        counts[name] += int(count)
    return counts


def test_every_set_has_a_page_and_rows():
    assert sorted(credited()) == SETS


@pytest.mark.parametrize("name", SETS)
def test_every_object_is_credited(name):
    index = SHARED / name / "index.jsonl"
    if not index.exists():
        pytest.skip(f"there is no {index.parent.name} here")
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    assert credited()[name] == len(rows)
    told = (ROOT / "docs" / "credits" / f"{name}.md").read_text() + (ROOT / "CREDITS.md").read_text()
    told = " ".join(told.split()).lower()
    makers = {
        re.sub(r"\s*\(.*?\)| contributors$", "", str(row["author"])) for row in rows if row["license"] != "CC0-1.0"
    }
    people = {part.strip().lower() for maker in makers for part in re.split(r",| & | and ", maker)}
    assert sorted(person for person in people if person not in told) == []


def packages() -> set[str]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return {re.match(r"[\w.-]+", each)[0] for group in groups for each in group}  # type: ignore[index]


def test_every_package_has_its_licence_in_the_table():
    rows = dict(re.findall(r"^\| ([\w.-]+) \| [^|]+ \| ([^|]+) \|$", (ROOT / "docs" / "licences.md").read_text(), re.M))
    assert packages() == set(rows) - {"package"}
    assert all(licence.strip() for licence in rows.values())


def navigation() -> list[str]:
    return re.findall(r"^\s*- [^:\n]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)


def test_the_site_has_every_page():
    pages = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "*/weights/**/*.md")
        for path in ROOT.glob(pattern)
    }
    assert sorted(navigation()) == sorted(pages)


def test_the_python_page_names_what_is_there():
    names = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(), re.M)
    assert len(names) > 8
    for name in names:
        home, _, attribute = name.rpartition(".")
        assert getattr(import_module(home), attribute, None) or import_module(name), name


def test_the_container_copies_what_the_package_is_made_of():
    copied = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    names = {name for line in copied for name in line.split()}
    rooms = {"viewmask", "render", "recon", "eval", "viewmask_cli"}
    assert rooms <= names
    assert all((ROOT / name).exists() for name in names)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert names == kept


def test_continuous_integration_runs_targets_of_the_makefile():
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yml").read_text())["jobs"]
    lines = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    run = {target for line in lines if line.startswith("make ") for target in line.split()[1:]}
    assert run == {"lint", "types", "imports", "unit", "wheel-check", "docs", "audit"}
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in run)


def test_the_examples_can_be_read():
    pictures = sorted((ROOT / "examples").glob("*.png"))
    assert len(pictures) == 5
    for path in pictures:
        shown = cut(picture_of(path))
        share = float(np.mean(shown.picture[..., 3] > 127))
        assert 0.05 < share < 0.8, (path.name, share)
        assert shown.notes == ()
        with Image.open(path) as image:
            assert max(image.size) <= 512
    assert len(sentences(ROOT / "examples" / "prompts.txt")) >= 4
    named = re.findall(r"`([\w.]+)` \| `viewmask", (ROOT / "examples" / "README.md").read_text())
    assert sorted(named) == sorted([*(path.name for path in pictures), "prompts.txt"])
