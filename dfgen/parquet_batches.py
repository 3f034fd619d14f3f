"""Reads Parquet files in batches bounded by bytes, whatever the length of the rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a number once it is read, by what Parquet calls it; Arrow's own type may be narrower."""


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
        most_bytes: of the columns that are read, as numbers and text in memory.
        most_rows: however short they are.
        columns: as Parquet names them (`list_leaves`), or what these lie in; None: all.
        use_threads: see `pyarrow.parquet.ParquetFile.iter_batches`.
    """
    names = None if columns is None else list(columns)
    wanted = list(range(file.metadata.num_columns))
    if names is not None:
        above = tuple(f"{name}." for name in names)
        leaves = list_leaves(file)
        wanted = [i for i in wanted if leaves[i] in names or leaves[i].startswith(above)]
    for number in range(file.num_row_groups):
        size = _choose_rows(file.metadata.row_group(number), wanted, most_bytes, most_rows)
        yield from file.iter_batches(
            size, row_groups=[number], columns=names, use_threads=use_threads
        )


def list_leaves(file: pq.ParquetFile) -> list[str]:
    """Name the columns at the bottom of lists and structs, such as `images.list.element.bytes`."""
    return [file.schema.column(index).path for index in range(len(file.schema))]


def _choose_rows(group: pq.RowGroupMetaData, leaves: list[int], most: int, rows: int) -> int:
    """Rows of a row group that make up about so many bytes.

    The footer's sizes are those of encoded values: a mask of a million tokens that is nothing but
    zeros has a few bytes there. How many values there are, it says too. Of texts it says no more:
    one that a dictionary repeats is counted once.
    """
    size = 0
    for leaf in leaves:
        column = group.column(leaf)
        width = _WIDTHS.get(column.physical_type, 0)
        size += max(column.total_uncompressed_size, column.num_values * width)
    return max(1, min(rows, int(most * group.num_rows / max(1, size))))
