"""Names of folders."""

import pytest

from viewmask.files.slug import slug


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("A red chair!", "a-red-chair"),
        ("  ../../etc/passwd ", "etc-passwd"),
        ("ein grüner Stuhl", "ein-grüner-stuhl"),
        ("...", "views"),
        ("word " * 50, ("word-" * 12).strip("-")),
    ],
)
def test_a_folder_is_named_after_its_sentence(sentence, name):
    assert slug(sentence) == name
