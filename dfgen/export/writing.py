"""Writes tables into Parquet files of the size and layout that the Hub handles best.

Row groups end by bytes, not by rows: the Hub's viewer refuses groups above 300 MB, and fixed
numbers of rows with pictures get there. On top of the settings of every dfgen file
(`dfgen.store.parquet`), floats are split by byte and byte offsets stored as differences, both of
which zstd then makes a good deal smaller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dfgen.dataset_names import name_shard
from dfgen.store.atomic_files import make_directory
from dfgen.store.layout import TEMPORARY_PREFIX
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.parquet import ROW_GROUP_BYTES, make_writer_options

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_BYTES = 400 * 1024 * 1024
"""Uncompressed size at which a file ends (the Hub's own uploader aims at 500 MB)."""

_DIFFERENCES = "token_bytes"


@dataclass(frozen=True)
class WrittenFile:
    """One finished Parquet file; `size` in bytes."""

    path: Path
    rows: int
    size: int
    sha256: str


def write_files(
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    folder: Path,
    *,
    row_group_bytes: int = ROW_GROUP_BYTES,
    shard_bytes: int = SHARD_BYTES,
) -> list[WrittenFile]:
    """Write tables to `folder/train-00000-of-0000N.parquet`, ...; equal rows make equal files.

    Files appear under their names when all are written, since the names hold their number.

    Raises:
        StorageError: the disk is full, read-only, ...
    """
    with explain_os_errors(folder, "write"):
        make_directory(folder)
        temporary: list[tuple[Path, int]] = []
        try:
            pieces = split_tables(tables, row_group_bytes)
            for groups in _collect_shards(pieces, shard_bytes):
                path = folder / f"{TEMPORARY_PREFIX}export-{len(temporary):05d}.tmp"
                temporary.append((path, _write_file(path, groups, schema)))
            if not temporary:
                path = folder / f"{TEMPORARY_PREFIX}export-00000.tmp"
                temporary.append((path, _write_file(path, iter([schema.empty_table()]), schema)))
            for stale in folder.glob("train-*.parquet"):
                stale.unlink()
            return [
                _finish_file(path, folder / name_shard(i, len(temporary)), rows)
                for i, (path, rows) in enumerate(temporary)
            ]
        finally:
            for path in folder.glob(f"{TEMPORARY_PREFIX}export-*.tmp"):
                path.unlink(missing_ok=True)


def split_tables(tables: Iterable[pa.Table], row_group_bytes: int) -> Iterator[tuple[Any, int]]:
    """Cut a stream of tables into row groups of at most so many bytes (or one large row).

    Yields each with its size.
    """
    import pyarrow as pa

    pending: list[pa.Table] = []
    held = 0
    for table in tables:
        sizes = measure_rows(table)
        start = 0
        while start < table.num_rows:
            ends = np.cumsum(sizes[start:]) + held
            fit = int(np.searchsorted(ends, row_group_bytes, side="right"))
            if fit < len(ends):
                if fit == 0 and not held:
                    fit = 1
                pending.append(table.slice(start, fit))
                held = held if fit == 0 else int(ends[fit - 1])
                yield pa.concat_tables(pending), held
                pending, held = [], 0
            else:
                pending.append(_copy_rest(table, start))
                held = int(ends[-1])
            start += fit
        del table  # or it is in memory while the next one is made
    if held:
        yield pa.concat_tables(pending), held


def _copy_rest(table: pa.Table, start: int) -> pa.Table:
    """The rows from one on, chunk by chunk, in memory of their own: a slice keeps all of it."""
    import pyarrow as pa

    if not start:
        return table
    columns = [
        pa.chunked_array(
            [pa.concat_arrays([chunk, chunk.slice(0, 0)]) for chunk in column.chunks], column.type
        )
        for column in table.slice(start).columns
    ]
    return pa.Table.from_arrays(columns, schema=table.schema)


def measure_rows(table: pa.Table) -> NDArray[np.int64]:
    """Return int64[rows]: uncompressed bytes of values (no offsets, no null bits)."""
    total = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        parts = [measure_values(chunk) for chunk in column.chunks]
        total += np.concatenate(parts) if parts else 0
    return total


def measure_values(array: pa.Array) -> NDArray[np.int64]:
    """Return int64[length]: bytes of each value of an array."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind: Any = array.type
    if pa.types.is_struct(kind):
        total = np.zeros(len(array), np.int64)
        for field in array.flatten():
            total += measure_values(field)
        return total
    if pa.types.is_list(kind):
        lengths = _to_lengths(pc.list_value_length(array))
        if pa.types.is_primitive(kind.value_type):
            # Tokens are most of a table: what all entries share is not added up one by one.
            return lengths * _find_width(kind.value_type)
        inner = measure_values(array.flatten())
        edges = np.append(0, np.cumsum(inner))
        ends = np.cumsum(lengths)
        return np.asarray(edges[ends] - edges[ends - lengths], dtype=np.int64)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _to_lengths(pc.binary_length(array))
    return np.full(len(array), _find_width(kind), np.int64)


def _find_width(kind: Any) -> int:
    """Bytes of a value of fixed width."""
    return max(1, int(kind.bit_width) // 8)


def _to_lengths(values: Any) -> NDArray[np.int64]:
    import pyarrow.compute as pc

    lengths: NDArray[np.int64] = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64)


def list_writer_options(schema: pa.Schema) -> dict[str, Any]:
    """Keyword arguments of `pyarrow.parquet.ParquetWriter` for a published table."""
    import pyarrow as pa

    options = make_writer_options(schema)
    encodings = {}
    for leaf, kind in _list_leaf_types(schema):
        if pa.types.is_floating(kind) and leaf in options["compression_level"]:
            encodings[leaf] = "BYTE_STREAM_SPLIT"
        elif _DIFFERENCES in leaf.split("."):
            encodings[leaf] = "DELTA_BINARY_PACKED"
    options["column_encoding"] = encodings
    options["use_dictionary"] = [
        leaf for leaf in options["use_dictionary"] if leaf not in encodings
    ]
    return options


def hash_file(path: Path) -> str:
    """Compute the sha256 of a file in hex, as LFS names it."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _collect_shards(pieces: Iterator[tuple[Any, int]], shard_bytes: int) -> Iterator[Iterator[Any]]:
    """Group row groups into files; each inner iterator is used up before the next begins."""
    waiting = list[Any](_take(pieces))

    def one_file() -> Iterator[Any]:
        size = 0
        while waiting and (not size or size + waiting[0][1] <= shard_bytes):
            size += waiting[0][1]
            yield waiting.pop()[0]
            waiting.extend(_take(pieces))

    while waiting:
        yield one_file()


def _take(pieces: Iterator[tuple[Any, int]]) -> list[tuple[Any, int]]:
    piece = next(pieces, None)
    return [] if piece is None else [piece]


def _write_file(path: Path, groups: Iterator[pa.Table], schema: pa.Schema) -> int:
    import pyarrow.parquet as pq

    rows = 0
    with (
        path.open("wb") as sink,
        pq.ParquetWriter(sink, schema, **list_writer_options(schema)) as writer,
    ):
        for table in groups:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            rows += table.num_rows
            del table  # it may be a slice of a whole shard, and the next shard is read now
    return rows


def _finish_file(temporary: Path, path: Path, rows: int) -> WrittenFile:
    temporary.replace(path)
    return WrittenFile(path, rows, path.stat().st_size, hash_file(path))


def _list_leaf_types(schema: pa.Schema) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []

    def walk(name: str, kind: Any) -> None:
        import pyarrow as pa

        if pa.types.is_struct(kind):
            for field in kind:
                walk(f"{name}.{field.name}", field.type)
        elif pa.types.is_list(kind):
            walk(f"{name}.list.element", kind.value_type)
        else:
            leaves.append((name, kind))

    for field in schema:
        walk(field.name, field.type)
    return leaves
