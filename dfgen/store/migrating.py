"""Brings the files of a run that an earlier dfgen wrote to the columns that records have today.

dfgen itself reads such files as they are, with nulls for columns that came later. Programs that
read the Parquet files of several runs together want the same columns in all of them; and a record
whose version was raised, because a column was removed or has another meaning, has to be rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dfgen.errors import DamagedFileError
from dfgen.regular_files import open_for_arrow
from dfgen.store.entries import write_entry
from dfgen.store.layout import BESIDE, JOURNAL, MANIFEST, Stage
from dfgen.store.manifest import seal_manifest
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.parquet import make_file_schema

if TYPE_CHECKING:
    from dfgen.store.run import Run
    from dfgen.store.shards import ShardTable

MIGRATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From a record and version (`dfgen.mask/1`) to the row of the next version. Who raises a version
enters here how an old row becomes a new one, if it can."""


def migrate_run(run: Run) -> dict[str, int]:
    """Rewrite every shard that has other columns than its record; the caller holds the run's lock.

    What the rows say stays the same, so no stage is opened again.

    Returns:
        Shards rewritten, by table; empty if all were up to date.

    Raises:
        DamagedFileError: rows of a version that nobody has written a migration for.
        StorageError: something cannot be read or written; what was rewritten before is in place.
    """
    rewritten: dict[str, int] = {}
    for stage in run.stages:
        tables = [run.output(stage), run.rejects(stage), *map(run.table, BESIDE.get(stage, ()))]
        for table in tables:
            for shard in table.shards():
                if _migrate_shard(run, stage, table, shard):
                    name = table.directory.name
                    rewritten[name] = rewritten.get(name, 0) + 1
    return rewritten


def note_checksums(run: Run) -> int:
    """Note the checksums that an earlier dfgen did not: of shards, and of run.json itself.

    A run.json that somebody has changed is taken as it is. The caller holds the run's lock.

    Returns:
        How many shards, and run.json, have a checksum now that had none, or another.

    Raises:
        DamagedFileError: a file without a checksum cannot be read to its end.
        StorageError: something cannot be read or written.
    """
    done = [stage for stage in run.stages if run.manifest.get_stage(stage).state == "done"]
    noted = sum(map(run.take_in_entries, done)) + seal_manifest(run.root / MANIFEST)
    run.refresh()
    return noted


def _migrate_shard(run: Run, stage: Stage, table: ShardTable, shard: int) -> bool:
    import pyarrow.parquet as pq

    path, wanted = table.path(shard), make_file_schema(table.model)
    with explain_os_errors(path, "read"):
        found = pq.read_schema(open_for_arrow(path))
    version = (found.metadata or {}).get(b"dfgen.schema", b"").decode(errors="replace")
    if version == table.model.SCHEMA and found.equals(wanted):
        return False
    entry = run.entry(stage, shard)
    if version == table.model.SCHEMA:
        written = table.write(shard, list(table.iter_rows(shard)))
    else:
        written = table.write(shard, list(_read_older(table, shard, version)))
    if entry is not None:
        entry = entry.model_copy(deep=True)
        entry.sha256[run.name_file(table, shard)] = written.sha256
        write_entry(run.root / JOURNAL, stage, shard, entry)
    return True


def _read_older(table: ShardTable, shard: int, version: str) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    path, steps, at = table.path(shard), [], version
    while at != table.model.SCHEMA:
        if at not in MIGRATIONS:
            raise DamagedFileError(
                f"its rows are {version or 'of no dfgen record'}, and there is no way from there "
                f"to {table.model.SCHEMA}.",
                where=str(path),
                hint="Read it with the version of dfgen that wrote it, or start a new run.",
            )
        steps.append(MIGRATIONS[at])
        record, _, number = at.rpartition("/")
        at = f"{record}/{int(number) + 1}"
    for row in pq.ParquetFile(open_for_arrow(path)).read().to_pylist():
        for step in steps:
            row = step(row)  # noqa: PLW2901 - a row on its way through the versions
        yield row
