"""The study of faster decoding pairs what it compares, and its settings are such that the sampler takes."""

from types import SimpleNamespace

import numpy as np
import pytest

from eval.benches import open_bench
from eval.protocols import VIEWMASK
from recon.reconstructor import reconstruct
from studies import decoding
from viewmask.errors import ViewmaskError
from viewmask.model.sampling import FROM_IMAGE, FROM_TEXT, at_speed


def records(setting, seconds, values):
    return [
        {"kind": "picture", "setting": setting, "id": str(i), "seconds": seconds, "psnr": value, "lpips": None}
        for i, value in enumerate(values)
    ]


def test_differences_are_paired_and_bold_where_they_leave_zero_out(capsys):
    mixed = [10.0, 30.0, 20.0, 25.0]
    rows = records("exact", 2.0, mixed) + records("worse", 1.0, [value - 0.5 for value in mixed])
    rows += records("alike", 0.5, [10.1, 29.9, 20.3, 24.9])
    decoding.table("picture", {name: {} for name in ("exact", "worse", "alike", "never made")}, rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("| picture, 4 objects | times as fast | psnr |")
    assert lines[3].startswith("| exact | 1.00 | 21.25 |")
    assert lines[4].startswith("| worse | 2.00 | **-0.50 [-0.50, -0.50]** |")
    assert lines[5].startswith("| alike | 4.00 | +0.05 [")
    assert len(lines) == 6
    assert lines[5].endswith("| – |")


def test_a_mesh_is_scored_as_eval_does_and_why_there_is_none_is_printed(monkeypatch, capsys):
    subject = open_bench("demo", limit=1).subjects[0]
    asked = []

    def from_image(picture, **options):
        asked.append((picture, options))
        return subject.views(4)

    maker = SimpleNamespace(from_image=from_image)
    made = decoding.mesh(maker, subject, {"steps": 8})
    assert subject.mesh is not None
    figures = VIEWMASK.meshes(subject.mesh(), reconstruct(subject.views(4), texture=16), 0)
    assert figures["iou"] > 0.5
    assert figures.items() <= made.items()
    assert set(decoding.METRICS["mesh"]) < set(made)
    ((picture, options),) = asked
    assert np.array_equal(picture, subject.views(1).images[0])
    assert options == {"as_view": True, "speed": "exact", "steps": 8}
    monkeypatch.setattr(decoding, "reconstruct", lambda views, texture: (_ for _ in ()).throw(ViewmaskError("empty")))
    rows = [
        {"kind": "mesh", "setting": "exact", "id": "a"} | figures
        for figures in (made, decoding.mesh(maker, subject, {}))
    ]
    decoding.table("mesh", {"exact": {}}, rows)
    assert capsys.readouterr().out.endswith("\na, exact: no mesh: empty\n")


@pytest.mark.parametrize(("exact", "settings"), [(FROM_IMAGE, decoding.PICTURES), (FROM_TEXT, decoding.SENTENCES)])
def test_settings_change_something_and_the_balanced_ones_are_among_them(exact, settings):
    made = {name: exact.changed(**changes) for name, changes in settings.items()}
    assert made["exact"] == exact
    assert len(set(made.values())) == len(made)
    assert at_speed(exact, "balanced") in made.values()
