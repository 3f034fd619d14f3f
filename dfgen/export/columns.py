"""Defines column types and names of the exported tables.

Column names are those that the stock loaders of TRL, verl, EasyR1, OpenRLHF, ms-swift and R1-V look
for, and none that trips them: TRL takes a plain-string `completion` beside a conversational prompt
for a broken conversation (depending on PYTHONHASHSEED), and a `completions` column for a keyword
argument given twice. Hence `completion_text`, and a table of its own for `stepwise`.

Everything is nullable, because `datasets` compares types to the letter and knows no "not null".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

RENAMED = {"completion": "completion_text"}
"""Columns of `dfgen.records.Mask` that are published under another name."""


def list_mask_fields() -> list[tuple[str, Any]]:
    """List the columns of a mask row under their published names, `prompt_id` left out."""
    from dfgen.records import Mask
    from dfgen.store.arrow_schema import arrow_schema

    return [
        (RENAMED.get(field.name, field.name), relax(field.type))
        for field in arrow_schema(Mask)
        if field.name != "prompt_id"
    ]


def list_source_fields() -> list[tuple[str, Any]]:
    """List what a row has of the user's source: the own id, and the columns of `mask.metadata`."""
    import pyarrow as pa

    return [("source_id", pa.string()), ("metadata", pa.string())]


def relax(kind: pa.DataType) -> pa.DataType:
    """Return the same type with every part nullable."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([(field.name, relax(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(relax(kind.value_type))
    return kind


def make_blocks_type() -> pa.DataType:
    """Messages whose content is a list of blocks, as TRL and chat templates read them.

    A block never has a key `image`: templates of Qwen test whether it is there, not what it holds.
    """
    import pyarrow as pa

    block = pa.struct([("type", pa.string()), ("text", pa.string())])
    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(block))]))


def make_chat_type() -> pa.DataType:
    """Messages whose content is text with `<image>` in it, as verl and ms-swift read them."""
    import pyarrow as pa

    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def make_images_type() -> pa.DataType:
    """Pictures as encoded bytes: the views of them (`dfgen.pictures`)."""
    from dfgen.store import parquet

    return parquet.make_images_type()


def fit_column(values: Any, kind: pa.DataType) -> Any:
    """Return a column of exactly this type, from an Arrow array or a list of Python values."""
    import pyarrow as pa

    if isinstance(values, list):
        return pa.array(values, kind)
    return values if values.type.equals(kind) else values.cast(kind)


def merge_chunks(column: pa.ChunkedArray) -> pa.Array:
    """Return the values of a column as one array, whatever the number of its chunks."""
    import pyarrow as pa

    merged = column.combine_chunks()
    if isinstance(merged, pa.ChunkedArray):
        merged = pa.concat_arrays(merged.chunks) if merged.num_chunks else pa.array([], column.type)
    return merged
