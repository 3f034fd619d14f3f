"""Tells which value of a record no shard could hold, before it is written down as paid for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from dfgen.store.arrow_schema import arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 60


def find_unwritable(record: Mapping[str, Any], model: type[BaseModel]) -> str | None:
    """Name the first value that the Parquet columns of a model cannot hold as it is.

    That is: an integer outside its column's range, a number beyond float32 or not finite, a text
    that is no UTF-8, a value of another type (a boolean among numbers). Values may be numpy arrays.

    Args:
        record: keys that the model does not have are not looked at.

    Returns:
        Field, value and what is wrong with it; None if all is well.
    """
    for field in arrow_schema(model):
        value = record.get(field.name)
        if value is None:
            continue
        problem = _find_problem(value, field.type)
        if problem is not None:
            return f"{field.name}: {problem}, in {_show(value)}"
    return None


def find_unreadable(record: Any, model: type[BaseModel]) -> str | None:
    """Name what is wrong with a record that was read back, its form included."""
    try:
        model.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return find_unwritable(record, model)


def _find_problem(value: Any, kind: pa.DataType) -> str | None:
    import pyarrow as pa

    try:
        column = pa.array([value], kind)
    except (pa.ArrowException, OverflowError, UnicodeError, TypeError, ValueError) as error:
        return f"no {kind} ({str(error).splitlines()[0][:100]})"
    return None if _is_finite(column) else "not finite, or too large for its column"


def _is_finite(column: pa.Array) -> bool:
    """Say whether all numbers in a column, however deep, are finite."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        return bool(pc.all(pc.is_finite(column)).as_py() is not False)
    if pa.types.is_list(column.type):
        return _is_finite(column.flatten())
    if pa.types.is_struct(column.type):
        return all(map(_is_finite, column.flatten()))
    return True


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
