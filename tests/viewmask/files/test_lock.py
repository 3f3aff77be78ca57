"""Two openings of one file: the second does not get the lock until the first is closed."""

import sys

import pytest

from viewmask.files.lock import take_lock


@pytest.mark.skipif(sys.platform == "win32", reason="there is no lock on Windows")
def test_one_has_it_until_the_file_is_closed(tmp_path):
    path = tmp_path / "run"
    path.touch()
    with path.open("rb") as first, path.open("rb") as second:
        assert take_lock(first.fileno())
        assert not take_lock(second.fileno())
        first.close()
        assert take_lock(second.fileno())
