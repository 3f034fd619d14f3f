"""Reads and writes a table of a run: immutable Parquet files, one per shard."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dfgen.errors import DamagedFileError, StorageError
from dfgen.parquet_batches import find_filled, iter_batches, list_leaves
from dfgen.records import Record
from dfgen.regular_files import open_for_arrow
from dfgen.store.atomic_files import remove_files, replace_file
from dfgen.store.columns import fill_in, find_mismatch
from dfgen.store.entries import HashingFile
from dfgen.store.layout import MANIFEST, REJECTS, find_writer
from dfgen.store.mounts import fetch, find_mount
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.parquet import (
    PAGES_END,
    ROW_GROUP_BYTES,
    make_file_schema,
    make_writer_options,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


_READ_BYTES = 16 * 1024 * 1024
_READ_ROWS = 1024

_BATCH_BYTES = 2 * 1024 * 1024
"""Python's numbers take some ten times the memory of Arrow's, so batches of them stay small."""


class Written(NamedTuple):
    """What was written of a shard."""

    rows: int
    sha256: str


class ShardTable:
    """Parquet files `<prefix>-00000.parquet`, ... of one record in one directory.

    A file is there in full or not at all, and equal rows make equal bytes.

    Args:
        directory: need not exist yet.
        model: the record of a row.
        prefix: the first part of the file names.
        row_group_bytes: uncompressed size at which a row group ends.
        guard: called before each write; raises when this process may not write any more.
        desk: see `dfgen.store.atomic_files.replace_file`.
        passed_over: files that count as not there.
    """

    def __init__(
        self,
        directory: Path,
        model: type[Record],
        *,
        prefix: str = "part",
        row_group_bytes: int = ROW_GROUP_BYTES,
        guard: Callable[[], None] | None = None,
        desk: Path | None = None,
        passed_over: Collection[Path] = (),
    ) -> None:
        self.directory = directory
        self.model = model
        self.prefix = prefix
        self._row_group_bytes = row_group_bytes
        self._guard = guard
        self._desk = desk
        self._mount = find_mount(directory)
        self._passed_over = passed_over

    def path(self, shard: int) -> Path:
        """Return where the file of a shard is or would be."""
        return self.directory / f"{self.prefix}-{shard:05d}.parquet"

    def exists(self, shard: int) -> bool:
        """Say whether a shard is written; if so, in full.

        Raises:
            StorageError: its folder is closed to this user.
        """
        path = self.path(shard)
        if path in self._passed_over:
            return False
        with explain_os_errors(path, "look at"):
            return path.is_file() or (self._mount is not None and self._mount.exists(path))

    def is_away(self, shard: int) -> bool:
        """Say whether the file of a shard is in a bucket and has not been fetched."""
        return self._mount is not None and not self.path(shard).exists()

    def shards(self) -> list[int]:
        """Return the shards there are, ascending."""
        pattern = re.compile(rf"{re.escape(self.prefix)}-(\d{{5,9}})\.parquet", re.ASCII)
        names: set[str] = (
            set() if self._mount is None else {*self._mount.list_sizes(self.directory)}
        )
        if self.directory.is_dir():
            with explain_os_errors(self.directory, "list"):
                names |= {path.name for path in self.directory.iterdir()}
        if not names:
            return []
        numbers = {int(match[1]): name for name in names if (match := pattern.fullmatch(name))}
        # Another way to write a number (part-000001) is no shard: nothing would read it.
        return sorted(
            number
            for number in numbers
            if self.path(number).name in names and self.path(number) not in self._passed_over
        )

    def num_rows(self, shard: int) -> int:
        """Return the number of rows of a shard, from the footer alone.

        Raises:
            StorageError: there is no such shard, or it cannot be read.
        """
        with self._open(shard) as file:
            return int(file.metadata.num_rows)

    def write(self, shard: int, rows: Iterable[Mapping[str, Any] | Record]) -> Written:
        """Write a shard in the order of `rows`, replacing it if it is there.

        Rows are validated against the record and streamed; about one row group is in memory.

        Returns:
            How many rows there were, and the checksum of the file.

        Raises:
            StorageError: the disk is full, read-only, ...; the shard is as it was before.
            pydantic.ValidationError: a row is not a record of this table.
        """
        import pyarrow.parquet as pq

        if self._guard:
            self._guard()
        path = self.path(shard)
        with explain_os_errors(path, "write"), replace_file(path, self._desk) as temporary:
            written, sha256 = self._write_rows(temporary, rows)
            # The journal of the shard is deleted next, so look once whether the file is readable.
            if pq.read_metadata(open_for_arrow(temporary)).num_rows != written:
                raise DamagedFileError(
                    f"the file system kept something else than the {written} rows written.",
                    where=str(path),
                    hint="Check the disk, then give the same command again.",
                )
        return Written(written, sha256)

    def read(self, shard: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a shard whole, or some top-level columns of it.

        Raises:
            StorageError: there is no such shard, or it cannot be read.
            DamagedFileError: it is not the Parquet file that was written.
        """
        if columns is None:
            self.fetch(shard)
        away = self.is_away(shard)
        with self._open(shard) as file:
            import pyarrow as pa

            schema = self._choose_schema(columns)
            names = _list_present(file, schema)
            table = file.read(columns=names, use_threads=not away)
            _check_count(table.num_rows, file.metadata)
            batches = [fill_in(batch, schema) for batch in table.to_batches()]
            return pa.Table.from_batches(batches, schema)

    def verify(self, shard: int) -> None:
        """Read every page of every column, comparing checksums, and keep nothing of it.

        Raises the errors of `read`.
        """
        self.fetch(shard)
        with self._open(shard) as file:
            count = 0
            for batch in iter_batches(file, _READ_BYTES, _READ_ROWS):
                batch.validate(full=True)
                count += batch.num_rows
            _check_count(count, file.metadata)

    def iter_rows(
        self,
        shard: int | None = None,
        columns: Sequence[str] | None = None,
        where: Callable[[pa.RecordBatch], pa.Array] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of one shard, or of all in order, as dictionaries of plain values.

        A few megabytes are in memory at a time. Raises the errors of `read`.

        Args:
            columns: that are read; all if None.
            where: gives bool[rows] for a batch of these columns: the rows that are wanted. Others
                never become Python objects, which is most of the cost of a row.
        """
        schema = self._choose_schema(columns)
        for index in self.shards() if shard is None else [shard]:
            if columns is None:
                self.fetch(index)
            with self._open(index) as file:
                count, names = 0, _list_present(file, schema)
                for part in iter_batches(file, _BATCH_BYTES, _READ_ROWS, names, use_threads=False):
                    count += part.num_rows
                    batch = fill_in(part, schema)
                    yield from (batch if where is None else batch.filter(where(batch))).to_pylist()
                _check_count(count, file.metadata)

    def find_filled(self, shard: int, known: Collection[str] = ()) -> set[str]:
        """Find the columns of a shard that hold any value at all.

        Args:
            known: columns that need no look.

        Raises:
            DamagedFileError, StorageError: the shard cannot be read.
        """
        with self._open(shard) as file:
            leaves = [leaf for leaf in list_leaves(file) if leaf.split(".")[0] not in known]
            return {leaf.split(".")[0] for leaf in find_filled(file, leaves)}

    def iter_leaves(self, shard: int, name: str) -> Iterator[Any]:
        """Yield the values of all fields of this name that lie inside of others, nulls left out.

        Only these are read, whatever lists and structs they are nested in; their order is that of
        the columns. Raises the errors of `read`.

        Args:
            name: such as `cost_usd`, of every attempt in a list of attempts. A column of that name
                is none of them.
        """
        with self._open(shard) as file:
            wanted = [leaf for leaf in list_leaves(file) if leaf.endswith(f".{name}")]
            if not wanted:
                return
            count = 0
            for batch in iter_batches(file, _READ_BYTES, _READ_ROWS, wanted, use_threads=False):
                count += batch.num_rows
                for column in batch.columns:
                    yield from _flatten(column)
            _check_count(count, file.metadata)

    def remove(self, shard: int) -> None:
        """Delete the file of a shard, if there is one. Raises `StorageError`."""
        with explain_os_errors(self.path(shard), "remove"):
            if self.exists(shard):
                remove_files([self.path(shard)], self._desk)

    def fetch(self, shard: int) -> Path:
        """Return where the file of a shard is, once it is here: that of a bucket is fetched.

        Raises:
            StorageError: it cannot be fetched.
        """
        return fetch(self.path(shard))

    def open_parts(self, shard: int) -> Any:
        """Open the file of a shard for Arrow to read some columns of it, wherever it is.

        Raises:
            OSError: it cannot be opened.
            StorageError: its bucket refuses.
        """
        path = self.path(shard)
        if self._mount is not None and not path.exists():
            found = self._mount.open(path)
            if found is not None:
                return found
        return open_for_arrow(path)

    def _write_rows(
        self, target: Path, rows: Iterable[Mapping[str, Any] | Record]
    ) -> tuple[int, str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = make_file_schema(self.model)
        written, pending, pending_bytes = 0, list[Any](), 0
        plain = (to_plain_row(self.model, row) for row in rows)
        with target.open("wb") as file:
            sink = HashingFile(file)
            writer = pq.ParquetWriter(sink, schema, **make_writer_options(schema))
            try:
                for batch in chain(batch_rows(plain), [None]):
                    if batch is not None:
                        pending.append(pa.RecordBatch.from_pylist(batch, schema=schema))
                        pending_bytes += pending[-1].nbytes
                    if pending and (batch is None or pending_bytes >= self._row_group_bytes):
                        table = pa.Table.from_batches(pending, schema)
                        writer.write_table(table, row_group_size=max(1, table.num_rows))
                        written += table.num_rows
                        pending, pending_bytes = [], 0
                writer.add_key_value_metadata({PAGES_END: str(sink.tell())})
            finally:
                writer.close()
        return written, sink.hexdigest()

    @contextmanager
    def _open(self, shard: int) -> Iterator[pq.ParquetFile]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path(shard)
        if not self.exists(shard):
            raise StorageError(
                f"the run has no shard {shard} of {self.directory.name}.",
                where=str(path),
                hint="`dfgen stats RUN` shows how far the run is.",
            )
        with explain_os_errors(path, "read"), self.open_parts(shard) as source:
            try:
                # A file in a bucket is a Python object, which no thread of Arrow's may touch: one
                # that lets go of it while the interpreter ends aborts the process.
                file = pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False)
                self._check_schema(file.schema_arrow, path)
                yield file
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                # What pyarrow finds wrong in the bytes is an OSError without a number, too.
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise DamagedFileError(
                    f"this is not the Parquet file that dfgen wrote: {str(error).rstrip('.')}.",
                    where=str(path),
                    hint=self._advise_redo(shard),
                ) from error

    def _advise_redo(self, shard: int) -> str:
        folder, run = self.directory.name, self.directory.parent
        if not (run / MANIFEST).exists():
            return "Something else changed it. Restore it from a backup."
        stage = self.prefix if folder == REJECTS else find_writer(folder)
        return (
            "Something else changed it. Restore it from a backup; or make the shard anew, paying "
            "again for what was paid for: "
            f"dfgen run {shlex.quote(str(run))} --redo {stage}:{shard}"
        )

    def _check_schema(self, schema: pa.Schema, path: Path) -> None:
        name = (schema.metadata or {}).get(b"dfgen.schema", b"").decode(errors="replace")
        mismatch = None
        if name == self.model.SCHEMA:
            expected = make_file_schema(self.model)
            # Most files are of this version: one comparison in Arrow is a tenth of the careful one.
            mismatch = None if schema.equals(expected) else find_mismatch(schema, expected)
            if mismatch is None:
                return
        raise DamagedFileError(
            f"its rows are {name or 'of no dfgen record'}"
            f"{f' with other columns ({mismatch})' if mismatch else ''}, not {self.model.SCHEMA}.",
            where=str(path),
            hint=_advise(name, self.model.SCHEMA),
        )

    def _choose_schema(self, columns: Sequence[str] | None) -> pa.Schema:
        import pyarrow as pa

        schema = make_file_schema(self.model)
        if columns is None:
            return schema
        unknown = [name for name in columns if name not in self.model.model_fields]
        if unknown:
            raise ValueError(f"{self.model.SCHEMA} has no columns {unknown}")
        return pa.schema([schema.field(name) for name in columns])


def _list_present(file: pq.ParquetFile, schema: pa.Schema) -> list[str]:
    """The columns of a schema that a file has."""
    names = set(file.schema_arrow.names)
    return [name for name in schema.names if name in names]


def _flatten(array: pa.Array) -> Iterator[Any]:
    """The values at the bottom of lists and structs."""
    import pyarrow as pa

    if pa.types.is_list(array.type):
        yield from _flatten(array.flatten())
    elif pa.types.is_struct(array.type):
        for child in array.flatten():
            yield from _flatten(child)
    else:
        yield from (value for value in array.to_pylist() if value is not None)


def _advise(found: str, known: str) -> str:
    record, _, number = found.partition("/")
    same, _, current = known.partition("/")
    if record == same and number.isdigit() and int(number) > int(current):
        return "A newer dfgen wrote it. Update dfgen, or read it with that version."
    if record == same and number.isdigit() and int(number) < int(current):
        return "An older dfgen wrote it. `dfgen migrate RUN` rewrites it, where there is a way."
    return (
        "Another version of dfgen, or another program, wrote it. Read it with that version, or "
        "start a new run."
    )


def _check_count(count: int, metadata: pq.FileMetaData) -> None:
    """pyarrow reads a file with a damaged page header as one with fewer rows, without a word."""
    if count != metadata.num_rows:
        raise OSError(f"{count} of its {metadata.num_rows} rows can be read")


def to_plain_row(model: type[Record], row: Mapping[str, Any] | Record) -> dict[str, Any]:
    """Return a row as plain values, validated; numpy arrays and numbers become lists and numbers.

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
