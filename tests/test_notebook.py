"""docs/quickstart.ipynb runs from its first cell to its last, and its outputs stand in it."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
nbclient = pytest.importorskip("nbclient")

from viewmask.model.weights import SHIPPED, TRANSFORMER  # noqa: E402

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(not (SHIPPED / TRANSFORMER).exists(), reason="the shipped weights are not here")
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    stored = nbformat.read(ROOT / "docs" / "quickstart.ipynb", as_version=4)
    fresh = nbformat.read(ROOT / "docs" / "quickstart.ipynb", as_version=4)
    nbclient.NotebookClient(
        fresh, timeout=1200, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    kinds = [
        [[output.output_type for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]
        for notebook in (stored, fresh)
    ]
    assert kinds[0] == kinds[1]
    assert sum("execute_result" in each for each in kinds[0]) > 5


def test_the_notebook_is_small_and_names_no_machine():
    text = (ROOT / "docs" / "quickstart.ipynb").read_text()
    assert len(text) < 600_000
    assert str(ROOT) not in text
