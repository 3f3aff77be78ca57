"""The house of docs/architecture.md: what may import what, how files are called, what no file may hold."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
ROOMS = ("viewmask", "render", "recon", "eval", "viewmask_cli")
SOURCES = sorted(path for room in (*ROOMS, "tests", "bench", "studies") for path in (ROOT / room).rglob("*.py"))


def loads(modules: str) -> set[str]:
    """The heavy packages that importing some modules loads."""
    code = f"import sys, {modules}; print(*(m for m in ('torch', 'trimesh', 'scipy', 'skimage') if m in sys.modules))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
    )


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Groups of modules that import each other, in whatever place of a file."""
    edges = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    reached: dict[str, set[str]] = {}
    for module in edges:
        seen, waiting = set[str](), [module]
        while waiting:
            new = edges[waiting.pop()] - seen
            seen |= new
            waiting += new
        reached[module] = seen
    rings = {
        tuple(sorted(m for m in reached[module] if module in reached[m]))
        for module in edges
        if module in reached[module]
    }
    return [list(ring) for ring in sorted(rings)]


def test_the_contracts_of_pyproject_hold(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0


def test_the_contracts_have_no_exceptions():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert [contract["name"] for contract in contracts if "ignore_imports" in contract] == []


def test_every_module_has_a_floor():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = [name.strip() for layer in contracts[0]["layers"] for name in layer.split("|")]
    modules = {
        module
        for room in ROOMS
        for module in (ROOT / room).iterdir()
        if module.suffix == ".py" or (module / "__init__.py").exists()
    }
    names = {".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for module in modules}
    assert {
        name for name in names - {"viewmask"} if not any(f"{name}.".startswith(f"{floor}.") for floor in floors)
    } == set()


def test_no_modules_import_each_other():
    assert circles(grimp.build_graph(*ROOMS, cache_dir=None)) == []


def test_a_circle_would_be_seen():
    graph = grimp.ImportGraph()
    for module in "abcd":
        graph.add_module(module)
    for importer, imported in ("ab", "bc", "ca", "dc"):
        graph.add_import(importer=importer, imported=imported)
    assert circles(graph) == [["a", "b", "c"]]


def test_views_and_files_load_nothing_heavy():
    modules = [
        path.relative_to(ROOT).with_suffix("")
        for room in ("files", "views")
        for path in (ROOT / "viewmask" / room).glob("[a-z]*.py")
    ]
    assert len(modules) > 4
    assert loads(", ".join(".".join(module.parts) for module in modules)) == set()


def test_the_command_line_loads_nothing_heavy():
    assert loads("viewmask_cli.main") == set()


def test_files_are_named_by_nouns_of_the_field():
    vague = {"utils", "util", "helpers", "helper", "common", "core", "base", "misc", "tools"}
    assert not [path for path in SOURCES if path.stem in vague]


def test_no_file_names_this_machine_or_a_package_index():
    hosts = "|".join(("py" + "pi.org", "pythonhosted" + ".org", "download.pytorch" + ".org", "local" + "host:"))
    places = "|".join(("wo" + "rk", "ro" + "ot", "ho" + "me", "opt/wh" + "eels"))
    pattern = re.compile(rf"{hosts}|(?<![\w.~>\]}}])/(?:{places})/")
    written = [*SOURCES, *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile"]
    written += [ROOT / "constraints.txt", ROOT / "CITATION.cff", ROOT / ".ci" / "run"]
    assert {str(path): match[0] for path in written if (match := pattern.search(path.read_text()))} == {}
