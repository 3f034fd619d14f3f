"""Turns Arrow tables into rows whose lists of numbers are numpy arrays.

A whole batch is decoded column by column; a row then takes a slice of it. Python lists of tokens
would be a hundred times slower.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
Values = Sequence[Any]


def iter_rows(batch: pa.RecordBatch) -> Iterator[Row]:
    """Yield the rows of a batch as dictionaries.

    A list of numbers or booleans becomes a numpy array (read-only, shared with the batch), or None
    where it is null; a list of trajectories becomes a list of such dictionaries; everything else is
    as pyarrow gives it.
    """
    names = batch.schema.names
    columns = [decode_column(*column) for column in zip(names, batch.columns, strict=True)]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def decode_column(name: str, array: pa.Array) -> Values:
    """Decode the values of one column, one per row."""
    import pyarrow as pa

    if not pa.types.is_list(array.type):
        return array.to_pylist()  # type: ignore[no-any-return]
    inner = array.type.value_type
    if pa.types.is_primitive(inner):
        return _slice(array, _to_numpy(array.values))
    if name == "trajectories":
        rows = pa.RecordBatch.from_struct_array(array.values)
        return _slice(array, list(iter_rows(rows)))
    return array.to_pylist()  # type: ignore[no-any-return]


def _slice(array: pa.ListArray, values: Any) -> list[Any]:
    offsets = array.offsets.to_pylist()
    if not array.null_count:
        return [values[a:b] for a, b in pairwise(offsets)]
    valid = array.is_valid().to_pylist()
    return [
        values[a:b] if there else None
        for (a, b), there in zip(pairwise(offsets), valid, strict=True)
    ]


def _to_numpy(values: pa.Array) -> Any:
    array = values.to_numpy(zero_copy_only=False)
    if array.dtype == object:  # nulls among booleans
        raise ValueError("a list of numbers holds a null")
    array.flags.writeable = False
    return np.asarray(array)
