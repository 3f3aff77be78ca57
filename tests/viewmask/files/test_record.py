"""Records as JSON: no NaN, no infinity, and the line says where."""

import pytest

from viewmask.errors import ViewmaskError
from viewmask.files.manifest import Manifest
from viewmask.files.record import json_text


def test_letters_stay_and_numbers_must_be_some():
    assert json_text({"a": ["Stühle", 1.5, None]}) == '{"a": ["Stühle", 1.5, null]}'
    assert json_text({"a": 1}, indent=1) == '{\n "a": 1\n}'
    for record, where in [
        ({"means": {"psnr": float("nan")}}, "means.psnr"),
        ({"frames": [{"cx": 1.0}, {"cx": float("inf")}]}, "frames.1.cx"),
        ({"a": (1.0, -float("inf"))}, "a.1"),
    ]:
        with pytest.raises(ViewmaskError, match=f"not written: {where} is no finite number"):
            json_text(record)


def test_a_manifest_takes_no_nan(tmp_path):
    with Manifest(tmp_path / "m.jsonl") as manifest:
        manifest.append({"id": "a", "seconds": 1.0})
        with pytest.raises(ViewmaskError, match="seconds is no finite number"):
            manifest.append({"id": "b", "seconds": float("nan")})
    assert (tmp_path / "m.jsonl").read_text() == '{"id": "a", "seconds": 1.0}\n'
    assert "b" not in manifest.records
