"""Damaged files: every reader reads them or refuses them in one line, and changes nothing on the disk."""

import json
import shutil
import warnings
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studies.fuzz import KINDS, damaged
from viewmask.errors import ViewmaskError

# The same damage each time; `studies/fuzz.py --seed` draws other, through the command line.
FEW = settings(
    max_examples=30, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch):
    monkeypatch.setattr("studies.fuzz._shipped_hash", lambda: "0123456789abcdef")


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    KINDS[request.param].make(whole)
    KINDS[request.param].read(whole)  # the undamaged one is read
    return KINDS[request.param]


@FEW
@given(seed=st.integers(0, 2**32))
def test_a_damaged_file_is_read_or_refused_in_one_line(kind, tmp_path, seed):
    whole, folder = tmp_path / "whole", tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    file = folder / kind.file
    file.write_bytes(damaged(file.read_bytes(), Random(seed)))
    before = sorted(folder.rglob("*"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            kind.read(folder)
            refusal = "-"
        except ViewmaskError as error:
            refusal = str(error)
    assert refusal
    assert "\n" not in refusal
    assert sorted(folder.rglob("*")) == before


@given(st.binary(max_size=300), st.integers(0, 2**32))
@settings(derandomize=True)
def test_damage_is_a_function_of_the_seed(data, seed):
    assert damaged(data, Random(seed)) == damaged(data, Random(seed))


def test_damage_reaches_into_json_and_headers(tmp_path):
    plain = json.dumps({"w": 64, "frames": [{"file_path": "000.png"}]}).encode()
    changed = {damaged(plain, Random(seed)) for seed in range(300)}
    readable = [text for text in changed if text != plain and _is_json(text)]
    assert len(readable) > 50


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
