"""Opening a method by its name."""

import pytest

from eval.methods import BASELINES, FOLDERS, METHODS, SYSTEMS, TRIVIAL, open_method
from viewmask.errors import ViewmaskError


@pytest.mark.parametrize("name", [*TRIVIAL, "gt-views"])
def test_a_method_has_the_name_that_it_was_asked_by(name: str) -> None:
    assert open_method(name).name == name


def test_unknown_method() -> None:
    with pytest.raises(ViewmaskError, match="choose viewmask, copy, mirror, white, gt-views, tokenizer"):
        open_method("magic")
    with pytest.raises(ViewmaskError, match="'copy' takes no folder: only views, meshes"):
        open_method("copy:somewhere")
    with pytest.raises(ViewmaskError, match="'viewmask' has no command"):
        open_method("viewmask", command="python other.py")
    with pytest.raises(ViewmaskError) as error:
        open_method("magic")
    assert all(name in str(error.value) for name in (*METHODS, *FOLDERS, *BASELINES, *SYSTEMS))
