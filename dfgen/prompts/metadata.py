"""Writes the columns that are only carried along as one JSON object."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
from collections.abc import Mapping
from typing import Any


def write_metadata(values: Mapping[str, Any]) -> str:
    """Return a JSON object that any JSON reader takes.

    What JSON cannot say is written as text: bytes as base64, dates as ISO 8601, decimals digit by
    digit. NaN and infinity become null.
    """
    return json.dumps(to_json(values), ensure_ascii=False, allow_nan=False)


def to_json(value: Any) -> Any:
    """Return a value of dicts, lists, text, finite numbers, truth values and null."""
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
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
