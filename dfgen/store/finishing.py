"""Finishes a shard of a stage, and takes back what a later stage made of rows that change.

A stage of a shard is finished in four steps: its rejects are written, then its output file, then
its entry (`dfgen.store.entries`), then its journal is deleted. A crash between any two steps leaves
either a shard that is still open, with all it needs in its journal and the file it had, or one that
is done with a journal to spare, which the next start removes. No row is lost, none is paid for
twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from dfgen.records import Record, Reject
from dfgen.store.entries import ShardEntry, SourceRows
from dfgen.store.layout import BESIDE, Stage, Table, list_downstream, list_inputs
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable


def finish_shard(
    run: Run,
    stage: Stage,
    shard: int,
    rows: Iterable[Mapping[str, Any] | Record],
    rejects: Iterable[Mapping[str, Any] | Record] = (),
    *,
    beside: Mapping[Table, Sequence[Mapping[str, Any] | Record]] | None = None,
    source: SourceRows | None = None,
) -> None:
    """Write a shard's rejects, then its rows, then its entry, then delete its journal.

    Args:
        rows: all rows of the shard, in the order of the prompts, then sample_index.
        rejects: all rejects of the stage in this shard, likewise.
        beside: rows of tables that the stage writes beside its output (`controls`).
        source: the user's rows that it was cut from, if it was.

    Raises:
        StorageError: something cannot be written; the journal is kept.
    """
    before = run.entry(stage, shard)
    had_output = run.output(stage).exists(shard)
    if before is not None and had_output:
        # Killed from here on, the files are not the ones that are noted: the shard has to be open.
        _open_again(run, stage, shard, before)
    entry = ShardEntry(made_from=run.generations(stage, shard), source=source)
    for name, extra in (beside or {}).items():
        if extra:
            _write_table(run, run.table(name), shard, extra, entry)
    refused = _name_rejects(run, stage, shard, list(rejects))
    if refused:
        entry.rejects = _write_table(run, run.rejects(stage), shard, refused, entry)
    else:
        run.rejects(stage).remove(shard)
    entry.rows = _write_table(run, run.output(stage), shard, rows, entry)
    entry.generation = _count_generation(run, stage, shard, before, had_output, entry)
    run.write_entry(stage, shard, entry)
    _reopen_downstream(run, stage, shard)
    run.journal(stage, shard).delete()
    run.let_go(stage, shard)


def _name_rejects(
    run: Run, stage: Stage, shard: int, rejects: list[Mapping[str, Any] | Record]
) -> list[Mapping[str, Any] | Record]:
    """Give rejects the user's own ids of the rows that they are about, where those have any."""
    unnamed = [row for row in rejects if isinstance(row, Reject) and row.source_id is None]
    if stage == "prompts" or not unnamed:
        return rejects
    names: dict[str, str] = {}
    for name, key in (("prompts", "prompt_id"), ("trajectories", "trajectory_id")):
        table = run.table(name)
        if table.exists(shard):
            rows = table.iter_rows(shard, [key, "source_id"])
            names |= {row[key]: row["source_id"] for row in rows if row["source_id"] is not None}
    for row in unnamed:
        row.source_id = names.get(row.row_id) or names.get(row.prompt_id or "")
    return rejects


def take_back(run: Run, stage: Stage, shard: int, keys: Collection[str]) -> None:
    """Remove what a stage made of some trajectories, because these are about to change.

    The shard is open again from this moment, whatever happens next. What it holds of other
    trajectories stays, so that nothing is paid for twice.

    Args:
        keys: their trajectory_ids.

    Raises:
        StorageError: something cannot be written.
    """
    if not run.output(stage).exists(shard):
        return
    entry = _open_again(run, stage, shard, run.entry(stage, shard) or ShardEntry())
    for table, column in (
        *((run.table(name), "trajectory_id") for name in BESIDE.get(stage, ())),
        (run.output(stage), "trajectory_id"),
        (run.rejects(stage), "row_id"),
    ):
        if not table.exists(shard):
            continue
        rows = list(table.iter_rows(shard))
        kept = [row for row in rows if row[column] not in keys]
        if len(kept) == len(rows):
            continue
        is_output = table.directory == run.output(stage).directory
        if is_output:
            # What was made of these rows is not made of what is there now.
            entry.generation += 1
            run.write_entry(stage, shard, entry)
        if kept or is_output:
            entry.sha256[run.name_file(table, shard)] = table.write(shard, kept).sha256
        else:
            table.remove(shard)
            entry.sha256.pop(run.name_file(table, shard), None)
    run.write_entry(stage, shard, entry)
    if run.manifest.get_stage(stage).state == "done":
        run.set_stage(stage, state="running", counts={})
    _reopen_downstream(run, stage, shard)


def _open_again(run: Run, stage: Stage, shard: int, entry: ShardEntry) -> ShardEntry:
    """Note that a shard is not made from anything that is there, until it is finished again."""
    entry = entry.model_copy(deep=True)
    entry.made_from = dict.fromkeys(list_inputs(stage), -1)
    run.write_entry(stage, shard, entry)
    return entry


def _write_table(
    run: Run,
    table: ShardTable,
    shard: int,
    rows: Iterable[Mapping[str, Any] | Record],
    entry: ShardEntry,
) -> int:
    written = table.write(shard, rows)
    entry.sha256[run.name_file(table, shard)] = written.sha256
    return written.rows


def _count_generation(
    run: Run,
    stage: Stage,
    shard: int,
    before: ShardEntry | None,
    had_output: bool,
    entry: ShardEntry,
) -> int:
    if before is None:
        # A file without an entry counts as generation 1.
        return 2 if had_output else 1
    name = run.name_file(run.output(stage), shard)
    same = before.sha256.get(name) == entry.sha256[name]
    return before.generation if same else before.generation + 1


def _reopen_downstream(run: Run, stage: Stage, shard: int) -> None:
    """Say of later stages that were done that they have a shard to do again."""
    for each in list_downstream(stage):
        if run.manifest.get_stage(each).state != "done":
            continue
        if run.output(each).exists(shard) and not run.is_current(each, shard):
            run.set_stage(each, state="running", counts={})
