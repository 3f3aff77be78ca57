"""The house of docs/architecture.md: what may import what, how files are called, what no file may hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
ROOMS = ("viewmask", "render", "recon", "eval", "viewmask_cli")
SOURCES = sorted(path for room in (*ROOMS, "tests", "bench") for path in (ROOT / room).rglob("*.py"))
GROUND = ("errors", "atomic", "camera", "viewset", "silhouette")


def imports(path: Path, inside_functions: bool) -> set[str]:
    """Names of the modules that a file imports, with or without those inside its functions."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef) and not inside_functions:
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found.update(f"{module}.{alias.name}" if module in ROOMS else module for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def test_the_contracts_of_pyproject_hold(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0


@pytest.mark.parametrize("name", GROUND)
def test_the_ground_floor_knows_only_numpy_pillow_and_itself(name):
    allowed = {"numpy", "PIL"} | {f"viewmask.{ground}" for ground in GROUND}
    strange = {
        module
        for module in imports(ROOT / "viewmask" / f"{name}.py", inside_functions=False)
        if module.split(".")[0] not in sys.stdlib_module_names
        and not any(module == known or module.startswith(known + ".") for known in allowed)
    }
    assert not strange


@pytest.mark.parametrize("name", GROUND)
def test_the_ground_floor_never_reaches_for_torch_or_meshes(name):
    modules = {module.split(".")[0] for module in imports(ROOT / "viewmask" / f"{name}.py", inside_functions=True)}
    assert not modules & {"torch", "trimesh", "bpy", "render", "recon", "eval"}


def test_importing_the_ground_floor_loads_nothing_heavy():
    names = ", ".join(f"viewmask.{name}" for name in GROUND)
    code = f"import sys, {names}; print([m for m in ('torch', 'trimesh', 'scipy', 'skimage') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
