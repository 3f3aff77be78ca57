"""A lock on a file, so that two programs do not write one folder at the same time."""

from __future__ import annotations


def take_lock(file: int) -> bool:
    """Take the lock on an open file, until it is closed; whether nobody else has it (on Windows there is no lock).

    Args:
        file: its descriptor.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return True
    except BlockingIOError:
        return False
    return True
