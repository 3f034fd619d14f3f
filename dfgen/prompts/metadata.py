"""Writes the columns that are only carried along as one JSON object."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
from collections.abc import Mapping
from typing import Any

from dfgen.errors import RowError

MOST_LEVELS = 64
"""Lists and objects inside each other; browsers, DuckDB and Arrow's JSON go less deep than Python,
and Python itself goes less deep the deeper it is called."""


def write_metadata(values: Mapping[str, Any]) -> str:
    """Return a JSON object that any JSON reader takes.

    What JSON cannot say is written as text: bytes as base64, dates as ISO 8601, decimals digit by
    digit. NaN and infinity become null.

    Raises:
        RowError: row_unreadable: lists and objects stand deeper in each other than other readers
            of JSON go.
    """
    return json.dumps(to_json(values), ensure_ascii=False, allow_nan=False)


def to_json(value: Any, levels: int = MOST_LEVELS) -> Any:
    """Return a value of dicts, lists, text, finite numbers, truth values and null.

    Raises:
        RowError: see `write_metadata`.
    """
    if not levels:
        raise RowError(
            "row_unreadable",
            f"lists and objects stand more than {MOST_LEVELS} deep in each other in a column of"
            " metadata; leave it out",
        )
    if isinstance(value, Mapping):
        return {str(key): to_json(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, levels - 1) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return _write_text(value)


def _write_text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
