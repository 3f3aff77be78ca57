"""3D-FUTURE in its release's own layout."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from eval.benches import open_bench
from viewmask.errors import ViewmaskError


def test_3d_future_in_its_own_layout(tmp_path: Path) -> None:
    folder = tmp_path / "3D-FUTURE-model"
    models = []
    for i, (name, file) in enumerate([("b-02", "normalized_model.obj"), ("a-01", "raw_model.obj"), ("c-03", "")]):
        models.append({"model_id": name, "super-category": "Chair", "category": "Lounge Chair" if i == 0 else None})
        if file:
            (folder / name).mkdir(parents=True)
            mesh = trimesh.creation.box((1, 2, 0.5))  # twice as high as wide: +Y is up
            mesh.export(folder / name / file)
    (folder / "model_info.json").write_text(json.dumps(models))
    bench = open_bench("3d-future", folder)
    assert [subject.id for subject in bench.subjects] == ["a-01", "b-02"]
    assert [subject.caption for subject in bench.subjects] == ["chair", "lounge chair"]
    assert bench.notes == ("1 of the 3 models that model_info.json lists are not there",)
    (folder / "a-01" / "texture.png").write_bytes(b"another texture is another object")
    again = open_bench("3d-future", folder).subjects
    assert [a.sha256 == b.sha256 for a, b in zip(bench.subjects, again, strict=True)] == [False, True]
    front = bench.subjects[1].views(2).images[0][..., 3] > 127
    assert np.ptp(np.flatnonzero(front.any(axis=1))) > 1.4 * np.ptp(np.flatnonzero(front.any(axis=0)))
    (folder / "model_info.json").write_text("{")
    with pytest.raises(ViewmaskError, match="fetch it again"):
        open_bench("3d-future", folder)
    (folder / "model_info.json").write_text(json.dumps([{"model_id": "d-04"}]))
    with pytest.raises(ViewmaskError, match="holds none"):
        open_bench("3d-future", folder)
