"""The table of fields: the hull's row, then one for each field, over the objects of one split."""

import sys

import torch

from recon.field import Field, FieldConfig
from render.demo import write
from render.run import render_orbits
from render.settings import Settings
from studies import field
from viewmask.learning import checkpoint

TINY = FieldConfig(size=32, features=8, widths=(8, 8, 8), resolution=8, decoder=8)


def test_the_hull_comes_first_and_every_field_has_a_row(tmp_path, monkeypatch, capsys):
    settings = Settings(views=4, size=48, passes=("points",))
    render_orbits(write(tmp_path / "in", ["mug", "chair"]), tmp_path / "views", settings)
    for seed in (1, 2):
        torch.manual_seed(seed)
        checkpoint.save(tmp_path / f"f{seed}", Field(TINY), TINY, {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["field.py", "f1", "f2", "--data", "views", "--split", "train"])
    field.main()
    said = capsys.readouterr().out
    assert "views (2)" in said
    rows = [line.split() for line in said.splitlines() if any(name in line.split() for name in ("hull", "f1", "f2"))]
    names = [next(word for word in row if word in ("hull", "f1", "f2")) for row in rows]
    assert names == ["hull", "f1", "f2"]
    hull, *fields = (next(float(word) for word in row if word.startswith("0.")) for row in rows)
    assert 0.2 < hull < 1
    assert all(0 <= one < 1 for one in fields)
