"""Opens what rows can be loaded from: a run, an exported folder, files of a table or of masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.dataset_names import MANIFEST, TABLE_KEY, TOKENIZER_KEY, leaves_folder
from dfgen.errors import DamagedFileError, InputError
from dfgen.export.columns import RENAMED, merge_chunks
from dfgen.export.manifest import read_dataset_manifest
from dfgen.export.tables import TRAJECTORIES
from dfgen.export.tables.table import ExportTable
from dfgen.parquet_batches import iter_batches
from dfgen.regular_files import open_for_arrow

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 16 * 1024 * 1024
_BATCH_ROWS = 4096
_LISTED = 3


@dataclass(frozen=True)
class Source:
    """Rows that can be read as often as one likes.

    Attributes:
        name: for messages.
        tokenizer: sha256 of the tokenizer of all ids; None where nobody noted it.
        count: number of rows; None where it is not known without reading.
        batches: gives the rows anew each time it is called; columns None means all.
    """

    name: str
    tokenizer: str | None
    count: int | None
    batches: Callable[[Sequence[str] | None], Iterator[pa.RecordBatch]] = field(repr=False)


def open_run(root: Path, table: ExportTable) -> Source:
    """Open a table of a run, made while it is read.

    Raises:
        InputError: the run lacks what it is made of.
    """
    from dfgen.export.exporting import find_tokenizer_sha256
    from dfgen.export.making import check_sources, iter_tables
    from dfgen.store.finished import open_finished

    finished = open_finished(root)
    masks = finished.run.table("masks")
    check_sources(finished, table)
    sha256 = find_tokenizer_sha256(finished)
    count = sum(map(masks.num_rows, masks.shards())) if table is TRAJECTORIES else None

    def read(columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        for part in iter_tables(finished, table, sha256):
            yield from _select(part, columns, table.nested_in).combine_chunks().to_batches()

    return Source(str(root), sha256, count, read)


def open_folder(folder: Path, table: ExportTable) -> Source:
    """Open an exported folder or a local copy of a published data set."""
    manifest = read_dataset_manifest(folder / MANIFEST)
    listed = manifest.tables.get(table.name)
    if listed is None:
        raise InputError(
            f"there is no table {table.name}; it holds {', '.join(manifest.tables)}.",
            where=str(folder),
            hint=f"Write it with: dfgen export RUN --to {table.name} --out DIR",
        )
    files: list[Callable[[], Path]] = []
    for entry in listed.files:
        if leaves_folder(entry.path):
            raise DamagedFileError(
                f"it lists a file outside of the data set: {entry.path!r}.",
                where=str(folder / MANIFEST),
            )
        path = folder / entry.path
        if not path.is_file():
            raise DamagedFileError(
                "this file of the data set is missing.",
                where=str(path),
                hint="`datasets` would load the rest without a word. Fetch or export it again.",
            )
        files.append(_prove_once(path, entry.sha256))
    sha256 = manifest.tokenizer["sha256"]
    return Source(str(folder), sha256, listed.rows, make_reader(files, table, sha256))


def _prove_once(path: Path, sha256: str) -> Callable[[], Path]:
    """Give a file out after its content was compared with what dfgen.json says, the first time.

    Pages have checksums of their own, their headers and the footer do not.
    """
    from functools import cache

    from dfgen.store.entries import hash_file

    @cache
    def prove() -> Path:
        if hash_file(path) != sha256:
            raise DamagedFileError(
                f"it is not the file that {MANIFEST} lists: pictures, masks or ids were changed.",
                where=str(path),
                hint="Fetch or export it again.",
            )
        return path

    return prove


def open_files(paths: Sequence[Path], table: ExportTable) -> Source:
    """Parquet files of an exported table, or of masks (`dfgen.mask/1`) as trajectories."""
    import pyarrow.parquet as pq

    hashes = set()
    for path in paths:
        try:
            metadata = pq.read_schema(open_for_arrow(path)).metadata or {}
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read as Parquet: {error}.", where=str(path)) from None
        _check_kind(metadata, table, str(path))
        hashes.add(metadata.get(TOKENIZER_KEY, b"").decode() or None)
    if len(hashes) > 1:
        raise InputError(
            "these files hold ids of different tokenizers.",
            where=", ".join(map(str, paths[:_LISTED])),
            hint="Load them one at a time; `dfgen retokenize` brings masks to one tokenizer.",
        )
    count = sum(int(pq.read_metadata(open_for_arrow(path)).num_rows) for path in paths)
    files: list[Callable[[], Path]] = [
        lambda path=path: path  # type: ignore[misc]
        for path in paths
    ]
    sha256 = hashes.pop() if hashes else None
    return Source(str(paths[0]), sha256, count, make_reader(files, table, sha256))


def make_reader(
    files: Sequence[Callable[[], Path]], table: ExportTable, tokenizer: str | None
) -> Callable[[Sequence[str] | None], Iterator[pa.RecordBatch]]:
    """Read files one after the other; each is asked for (and fetched) when its turn comes."""

    def read(columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        for find in files:
            yield from _read_file(find(), table, tokenizer, columns)

    return read


def _read_file(
    path: Path, table: ExportTable, tokenizer: str | None, columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    try:
        with pq.ParquetFile(
            open_for_arrow(path), page_checksum_verification=True, pre_buffer=False
        ) as file:
            _check_kind(file.schema_arrow.metadata or {}, table, str(path))
            wanted: list[str] | None
            raw = _is_raw(file.schema_arrow.metadata or {})
            if raw:
                wanted = list(_name_raw(file.schema_arrow.names, columns).values())
            else:
                wanted = _name_leaves(columns, table.nested_in)
            rows = file.metadata.num_rows
            for batch in iter_batches(file, BATCH_BYTES, _BATCH_ROWS, wanted):
                count += batch.num_rows
                yield _rename(batch, columns, tokenizer) if raw else batch
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"cannot be read: {error}.", where=str(path)) from error
    if count != rows:
        raise DamagedFileError(f"only {count} of its {rows} rows can be read.", where=str(path))


def _check_kind(metadata: dict[bytes, bytes], table: ExportTable, where: str) -> None:
    if metadata.get(TABLE_KEY, b"").decode() == table.label:
        return
    if table is TRAJECTORIES and _is_raw(metadata):
        return
    kind = (metadata.get(TABLE_KEY) or metadata.get(b"dfgen.schema") or b"something else").decode()
    raise InputError(
        f"this file holds {kind}, not {table.label}.",
        where=where,
        hint=f"Write that table with: dfgen export RUN --to {table.name} --out DIR",
    )


def _is_raw(metadata: dict[bytes, bytes]) -> bool:
    return metadata.get(b"dfgen.schema", b"") == b"dfgen.mask/1"


def _select(table: pa.Table, columns: Sequence[str] | None, nested_in: str | None) -> pa.Table:
    """Some columns of a table; `trajectories.x` is one column inside of the trajectories."""
    import pyarrow as pa

    if columns is None:
        return table
    top = table.select(list(dict.fromkeys(name.partition(".")[0] for name in columns)))
    prefix = f"{nested_in}."
    inner = [name.removeprefix(prefix) for name in columns if name.startswith(prefix)]
    if not inner:
        return top
    lists = merge_chunks(top[nested_in])
    rows = pa.StructArray.from_arrays([lists.values.field(name) for name in inner], inner)
    nested = pa.ListArray.from_arrays(lists.offsets, rows)
    return top.set_column(top.column_names.index(nested_in), nested_in, nested)


def _name_leaves(columns: Sequence[str] | None, nested_in: str | None) -> list[str] | None:
    """Columns as Parquet names them."""
    if columns is None:
        return None
    prefix = f"{nested_in}."
    return [
        f"{prefix}list.element.{name.removeprefix(prefix)}" if name.startswith(prefix) else name
        for name in columns
    ]


def _name_raw(have: Sequence[str], wanted: Sequence[str] | None) -> dict[str, str]:
    """Published name -> name in a mask file, for the columns there are."""
    published = {RENAMED.get(name, name): name for name in have}
    return {name: published[name] for name in wanted or published if name in published}


def _rename(
    batch: pa.RecordBatch, columns: Sequence[str] | None, tokenizer: str | None
) -> pa.RecordBatch:
    """A batch of a mask file as one of `trajectories`; what only a run knows is null."""
    import pyarrow as pa

    schema = TRAJECTORIES.make_schema(tokenizer or "")
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    back = {RENAMED.get(name, name): name for name in batch.schema.names}
    arrays: list[Any] = [
        batch.column(back[each.name]).cast(each.type)
        if each.name in back
        else pa.nulls(batch.num_rows, each.type)
        for each in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
