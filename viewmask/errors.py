"""The one kind of failure that a user is expected to meet."""

from __future__ import annotations


class ViewmaskError(Exception):
    """An expected failure: one line that says what is wrong and what to do about it.

    The command line prints it and exits with code 2; a Python program catches it by this type.
    """
