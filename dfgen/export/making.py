"""Makes the tables of a run, one Arrow table per shard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dfgen.errors import InputError
from dfgen.export.columns import fit_column
from dfgen.export.shard import read_shards
from dfgen.export.tables import TABLES
from dfgen.export.tables.table import ExportTable

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.finished import FinishedRun


def iter_tables(
    finished: FinishedRun, table: ExportTable, tokenizer_sha256: str
) -> Iterator[pa.Table]:
    """Yield the rows of one table, in the order of the run.

    Args:
        tokenizer_sha256: of the tokenizer of all ids; written into every table's schema.
    """
    import pyarrow as pa

    schema = table.make_schema(tokenizer_sha256)
    pictured = any(field.name.endswith(("image", "images")) for field in schema)
    for shard in read_shards(finished, pictured=pictured):
        wanted = shard.gather() if table.needs_prompts else shard
        if not wanted.masks.num_rows:
            continue
        columns = table.make_columns(wanted)
        arrays = [fit_column(columns[field.name], field.type) for field in schema]
        yield pa.Table.from_arrays(arrays, schema=schema)


def can_make(finished: FinishedRun, table: ExportTable) -> bool:
    """Say whether the run has what the table is made of."""
    return finished.prompts is not None or not table.needs_prompts


def check_sources(finished: FinishedRun, table: ExportTable) -> None:
    """Raise `InputError` if the run lacks what the table is made of."""
    if not finished.run.table("masks").shards():
        raise InputError(
            "the mask stage has not finished any shard, so there are no masks to export.",
            where=str(finished.run.root),
            hint="`dfgen run` does all stages in order.",
        )
    stale = finished.list_stale()
    if stale:
        raise InputError(
            f"the masks of {len(stale)} shards are older than the answers or repairs they were "
            "made of, which have been graded, drawn or repaired anew since.",
            where=str(finished.run.root),
            hint="Give the run's own command again (`dfgen run PIPELINE --out RUN`).",
        )
    if not can_make(finished, table):
        possible = [name for name, each in TABLES.items() if can_make(finished, each)]
        raise InputError(
            f"the table {table.name} needs the questions, and this run holds none.",
            where=str(finished.run.root),
            hint=f"Without questions there can be: {', '.join(possible)}.",
        )
