"""Reads Parquet files in batches bounded by bytes, whatever the length of the rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_FEW, _MANY = 64, 512

_GROWTH = 4
"""Numbers and masks become up to so many times as large in memory as a row group says they are."""


def iter_batches(
    file: pq.ParquetFile,
    most_bytes: int,
    most_rows: int,
    columns: Collection[str] | None = None,
    *,
    use_threads: bool = True,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file in order, in batches of about so many bytes or one large row.

    One row group at a time: a batch is as large as the rows about it allow and not those of the
    whole file, and pyarrow keeps what it has read of a file until its iterator ends.

    Args:
        file: opened by the caller, who closes it.
        most_bytes: of whole rows, as numbers and text in memory.
        most_rows: however short they are.
        columns: as Parquet names them (`list_leaves`), or what these lie in; None: all.
        use_threads: see `pyarrow.parquet.ParquetFile.iter_batches`.
    """
    names = None if columns is None else list(columns)
    for number in range(file.num_row_groups):
        size = _choose_rows(file.metadata.row_group(number), most_bytes, most_rows)
        yield from file.iter_batches(
            size, row_groups=[number], columns=names, use_threads=use_threads
        )


def list_leaves(file: pq.ParquetFile) -> list[str]:
    """Name the columns at the bottom of lists and structs, such as `images.list.element.bytes`."""
    return [file.schema.column(index).path for index in range(len(file.schema))]


def find_filled(file: pq.ParquetFile, columns: Iterable[str]) -> set[str]:
    """Find the columns that hold any value at all; empty lists and nulls are none.

    By reading, a few rows where there are values: a footer counts nulls, but see `_choose_rows`.

    Args:
        file: opened by the caller.
        columns: leaves, as `list_leaves` names them.
    """
    return {column for column in columns if _is_filled(file, column)}


def _is_filled(file: pq.ParquetFile, column: str) -> bool:
    for number in range(file.num_row_groups):
        # Where the first rows have nothing most often none has, and nothing is read fast.
        for rows in (_FEW, _MANY):
            for batch in file.iter_batches(rows, row_groups=[number], columns=[column]):
                if any(map(_has_value, batch.columns)):
                    return True
                if rows == _FEW:
                    break
    return False


def _has_value(values: pa.Array) -> bool:
    import pyarrow.types as kinds

    if kinds.is_list(values.type) or kinds.is_large_list(values.type):
        return _has_value(values.flatten())
    if kinds.is_struct(values.type):
        return any(map(_has_value, values.flatten()))
    return bool(values.null_count < len(values))


def _choose_rows(group: pq.RowGroupMetaData, most: int, rows: int) -> int:
    """Rows of a row group that make up about so many bytes, if all columns were read.

    Not by the columns' own sizes, which `group.column` has: of a damaged footer that call ends the
    process (pyarrow 26, nothing can be caught), and a footer has no checksum.
    """
    size = _GROWTH * max(1, group.total_byte_size)
    return max(1, min(rows, int(most * group.num_rows // size)))
