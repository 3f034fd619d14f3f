"""Rows on their way into a file: validated, plain, in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dfgen.records import Record

_BATCH_BYTES = 2 * 1024 * 1024
"""Python's numbers take some ten times the memory of Arrow's, so batches stay small."""


def to_plain_row(model: type[Record], row: Mapping[str, Any] | Record) -> dict[str, Any]:
    """A row as plain values, validated; numpy arrays and numbers become lists and numbers.

    Raises:
        pydantic.ValidationError: it lacks a column, has one too many, or one of another type.
        TypeError: it is another record.
    """
    if isinstance(row, Record):
        if not isinstance(row, model):
            raise TypeError(f"a {type(row).SCHEMA} is no {model.SCHEMA}")
        return row.model_dump()
    plain = {name: _to_plain(value) for name, value in row.items()}
    return model.model_validate(plain).model_dump()


def batch_rows(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Group rows, order kept, into batches of about two megabytes or one large row."""
    batch: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += _estimate_bytes(row)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _to_plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _estimate_bytes(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_estimate_bytes, value.values()))
    if isinstance(value, list):
        if value and isinstance(value[0], (str, bytes, dict, list)):
            return sum(map(_estimate_bytes, value))
        return 4 * len(value)
    return 8
