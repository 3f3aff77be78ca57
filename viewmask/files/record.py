"""Records as JSON that every reader takes: a number that is none never reaches a file."""

from __future__ import annotations

import json
import math
from typing import Any

from viewmask.errors import ViewmaskError


def json_text(record: Any, indent: int | None = None) -> str:
    """A record as JSON text, its letters as they are.

    Raises:
        ViewmaskError: it holds NaN or infinity; the line names where.
    """
    try:
        text = json.dumps(record, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ViewmaskError(f"not written: {_where(record) or 'a value'} is no finite number") from error
    try:
        text.encode()
    except UnicodeEncodeError:  # a file name that is no UTF-8: Python's stand-ins for its bytes have no encoding
        return json.dumps(record, indent=indent)
    return text


def _where(value: Any) -> str | None:
    """The path of keys to the first number that is none: `means.psnr`, `frames.0.cx`."""
    if isinstance(value, float):
        return None if math.isfinite(value) else ""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, inner in items:
        below = _where(inner)
        if below is not None:
            return f"{key}.{below}".rstrip(".")
    return None
