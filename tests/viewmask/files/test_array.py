"""Arrays that are written row by row, and read in parts."""

import numpy as np
import pytest

from viewmask.errors import ViewmaskError
from viewmask.files.array import ArrayFile, Joined, mapped


@pytest.mark.parametrize("row", [np.zeros((3, 2), np.float16), np.int32(7), np.array("ab", "<U96"), np.bool_(True)])
def test_what_is_written_row_by_row_is_what_numpy_saves(tmp_path, row):
    rows = [np.asarray(row)] * 12
    file = ArrayFile(tmp_path / "a.npy", rows[0])
    for each in rows:
        file.add(each)
    file.close()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), np.stack(rows))
    np.save(tmp_path / "b.npy", np.stack(rows))
    assert np.load(tmp_path / "a.npy").dtype == np.load(tmp_path / "b.npy").dtype


def test_rows_of_another_shape_are_an_error(tmp_path):
    file = ArrayFile(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(AssertionError):
        file.add(np.zeros(4))
    with pytest.raises(AssertionError):
        file.add(np.zeros(3, np.float32))


def test_parts_are_one_array():
    parts = [np.arange(6).reshape(3, 2), np.zeros((0, 2), int), np.arange(6, 10).reshape(2, 2)]
    joined, whole = Joined(parts), np.concatenate(parts)
    assert len(joined) == 5
    for row in range(5):
        np.testing.assert_array_equal(joined[row], whole[row])
    for wrong in (5, -1):
        with pytest.raises(IndexError):
            joined[wrong]


@pytest.mark.parametrize("left", [0, 5, 140])
def test_a_file_that_is_cut_is_named(tmp_path, left):
    np.save(tmp_path / "a.npy", np.arange(10))
    assert mapped(tmp_path / "a.npy").tolist() == [*range(10)]
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:left])
    with pytest.raises(ViewmaskError, match=r"a\.npy is damaged .*: delete .*, it is made anew"):
        mapped(tmp_path / "a.npy")
