"""open3d as a peer: loaded where it is installed, with the USB library that its wheel wants and does not bring."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any


@cache
def loaded() -> Any | None:
    """The module, or None, with a line that says why."""
    with suppress(ImportError, OSError):  # else the system's own library is found, or the next import says what lacks
        ctypes.CDLL(str(import_module("libusb_package").get_library_path()), mode=ctypes.RTLD_GLOBAL)
    try:
        return import_module("open3d")
    except (ImportError, OSError) as error:
        print(f"without open3d: {error}")
        return None
