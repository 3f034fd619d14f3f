"""Reads rows that an earlier dfgen wrote, when records have gained columns since.

A record may gain a column that can be null without a new version: files of before are read with
nulls there. A column that is taken away or changes its meaning raises the record's version, and
such files are refused by name (`dfgen.mask/1` where `dfgen.mask/2` is known).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def find_mismatch(found: pa.Schema, expected: pa.Schema) -> str | None:
    """Return why rows of a file cannot be read as a record, in words; None if they can."""
    import pyarrow as pa

    return _compare_fields(pa.struct(list(found)), pa.struct(list(expected)), "")


def fill_in(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Give a batch all columns of a schema, in its order; those that it lacks are null.

    The batch's own schema must have passed `find_mismatch`.
    """
    import pyarrow as pa

    if batch.schema.equals(schema):
        return batch
    columns = []
    for field in schema:
        index = batch.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.nulls(batch.num_rows, field.type))
        else:
            columns.append(_convert(batch.column(index), field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _compare_fields(found: pa.StructType, expected: pa.StructType, prefix: str) -> str | None:
    names = {field.name for field in found}
    for field in expected:
        if field.name not in names:
            if not field.nullable:
                return f"the column {prefix}{field.name} is missing"
            continue
        mismatch = _compare_types(found.field(field.name).type, field.type, f"{prefix}{field.name}")
        if mismatch:
            return mismatch
    unknown = names - {field.name for field in expected}
    return f"the column {prefix}{min(unknown)} is unknown" if unknown else None


def _compare_types(found: pa.DataType, expected: pa.DataType, name: str) -> str | None:
    import pyarrow as pa

    if pa.types.is_struct(expected) and pa.types.is_struct(found):
        return _compare_fields(found, expected, f"{name}.")
    if pa.types.is_list(expected) and pa.types.is_list(found):
        return _compare_types(found.value_type, expected.value_type, name)
    return None if found == expected else f"the column {name} is {found}, not {expected}"


def _convert(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if array.type == wanted:
        return array
    if array.offset:
        # What is made from offsets and a mask below must not be a slice; a copy is none.
        array = pa.concat_arrays([array, array.slice(len(array))])
    if pa.types.is_list(wanted):
        values = _convert(array.values, wanted.value_type)
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(array.offsets, values, type=wanted, mask=mask)
    children = [
        _convert(array.field(field.name), field.type)
        if array.type.get_field_index(field.name) >= 0
        else pa.nulls(len(array), field.type)
        for field in wanted
    ]
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(children, fields=list(wanted), mask=mask)
