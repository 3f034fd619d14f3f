"""Takes rows of the first stage out of shards that are finished, and all that was made of them.

Nothing else in a shard changes, so every stage that had nothing left to do in it has nothing left
to do afterwards: no model is loaded, nothing is paid for again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import compress

from dfgen.store.entries import ShardEntry, hash_file, write_entry
from dfgen.store.growing import Place
from dfgen.store.layout import BESIDE, JOURNAL, Stage
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable

IsDropped = Callable[[int, str | None], bool]


def group_by_shard(places: Iterable[Place]) -> dict[int, set[int]]:
    """Return the rows of each shard, shards ascending."""
    found: dict[int, set[int]] = {}
    for place in places:
        found.setdefault(place.shard, set()).add(place.row)
    return dict(sorted(found.items()))


def drop_prompts(run: Run, shard: int, rows: Collection[int]) -> None:
    """Remove prompts of a shard, and what every later stage has of them.

    Interrupted, it is done again by whoever finds the prompts still there; `note_files` then mends
    what is noted of the shard.

    Args:
        run: locked.
        shard: of the prompts.
        rows: places of the prompts in the shard's file.

    Raises:
        StorageError: something cannot be read or written.
    """
    table = run.table("prompts")
    ids = table.read(shard, ["prompt_id"])["prompt_id"].to_pylist()
    names = {ids[row] for row in rows}
    # The prompts come last: as long as they are there, whoever is to drop them finds them.
    stages = [stage for stage in run.stages if stage != "prompts"]
    current = {stage: run.is_current(stage, shard) for stage in stages}
    for stage in reversed(stages):
        for each in (run.rejects(stage), *_list_beside(run, stage), run.output(stage)):
            _remove(run, stage, each, shard, "prompt_id", lambda _, name: name in names)
    _remove(run, "prompts", table, shard, "prompt_id", lambda _, name: name in names)
    note_files(run, shard, current)


def drop_rejects(run: Run, shard: int, rows: Collection[int]) -> None:
    """Remove rejects of the prompts stage from a shard's ledger.

    Args:
        run: locked.
        shard: of the prompts.
        rows: places of the rejects in the ledger.

    Raises:
        StorageError: something cannot be read or written.
    """
    ledger = run.rejects("prompts")
    _remove(run, "prompts", ledger, shard, "row_id", lambda place, _: place in rows)
    note_files(run, shard, {})


def note_files(run: Run, shard: int, current: Mapping[Stage, bool]) -> None:
    """Note the files of a shard as they are now: checksums, numbers of rows, generations.

    Args:
        run: locked.
        shard: in which rows were dropped.
        current: stages, and whether they had nothing to make anew in the shard before that.
    """
    for stage in run.stages:
        entry = run.entry(stage, shard)
        if entry is not None and run.output(stage).exists(shard):
            write_entry(
                run.root / JOURNAL,
                stage,
                shard,
                _describe(run, stage, shard, entry, current.get(stage, False)),
            )


def _describe(run: Run, stage: Stage, shard: int, old: ShardEntry, current: bool) -> ShardEntry:
    output, ledger = run.output(stage), run.rejects(stage)
    entry = old.model_copy(deep=True)
    entry.sha256 = {
        run.name_file(table, shard): hash_file(table.fetch(shard))
        for table in (*_list_beside(run, stage), ledger, output)
        if table.exists(shard)
    }
    entry.rows = output.num_rows(shard)
    entry.rejects = ledger.num_rows(shard) if ledger.exists(shard) else 0
    name = run.name_file(output, shard)
    if entry.sha256[name] != old.sha256.get(name):
        entry.generation += 1
    if entry.sha256 != old.sha256:
        entry.source = None  # it no longer holds all rows that it was cut from
    if current:
        entry.made_from = run.generations(stage, shard)
    return entry


def _list_beside(run: Run, stage: Stage) -> list[ShardTable]:
    return [run.table(name) for name in BESIDE.get(stage, ())]


def _remove(
    run: Run, stage: Stage, table: ShardTable, shard: int, column: str, is_dropped: IsDropped
) -> None:
    """Write a shard of a table again without some rows, if it has any of them.

    Args:
        stage: that the table is of.
        is_dropped: given the place of a row in the file and its value in the column.
    """
    if not table.exists(shard):
        return
    values = table.read(shard, [column])[column].to_pylist()
    kept = [not is_dropped(place, value) for place, value in enumerate(values)]
    if not any(kept) and table.path(shard) != run.output(stage).path(shard):
        table.remove(shard)  # only the output of a stage has a file without any row
    elif not all(kept):
        table.write(shard, compress(table.iter_rows(shard), kept))
