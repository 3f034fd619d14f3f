"""Reads Parquet files in small batches, and only the columns that are needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dfgen.config.prompts import SourceConfig
from dfgen.parquet_batches import iter_batches
from dfgen.prompts.arrow_rows import BATCH_BYTES, BATCH_ROWS, to_rows
from dfgen.prompts.columns import NAMED_LEVELS, check_columns
from dfgen.prompts.files import check_each, explain_unreadable_file, find_files, name_files
from dfgen.prompts.rows import AnyRow, SourceRow, UnreadableRow
from dfgen.regular_files import open_for_arrow

ENDINGS = (".parquet",)


def read_parquet(config: SourceConfig) -> Iterator[AnyRow]:
    """Yield the rows of all files; numbers are rows counted from 0.

    The schema of every file is checked before the first row is read.

    Raises:
        InputError: no file, a file that cannot be read, a column that is not there.
    """
    files = find_files(config.path, ENDINGS)
    there = check_each(_list_columns, files)
    wanted = check_columns(config, dict(zip(map(str, files), there, strict=True)))
    for name, file, columns in zip(name_files(files), files, wanted, strict=True):
        yield from _read_file(file, name, columns)


def _list_columns(file: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(open_for_arrow(file))
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise explain_unreadable_file(file, error) from error
    return _list_names(schema)


def _list_names(fields: Any, prefix: str = "", levels: int = NAMED_LEVELS) -> list[str]:
    import pyarrow as pa

    names = []
    for field in fields:
        names.append(prefix + field.name)
        if pa.types.is_struct(field.type) and levels > 1:
            names.extend(_list_names(field.type.fields, f"{prefix}{field.name}.", levels - 1))
    return names


def _read_file(file: Path, name: str, columns: list[str]) -> Iterator[AnyRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(pa.memory_map(os.fsencode(file)), pre_buffer=False) as table:
            batches = iter_batches(table, BATCH_BYTES, BATCH_ROWS, columns, use_threads=False)
            for batch in batches:
                for values in to_rows(batch):
                    if isinstance(values, str):
                        yield UnreadableRow(name, number, values)
                    else:
                        yield SourceRow(name, number, values, file.parent)
                    number += 1
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise explain_unreadable_file(file, error, number) from error
