"""Takes rows of the first stage out of shards that are finished, and all that was made of them.

What was drawn or paid for is kept: `RUN/history/dropped-.../` holds it, laid out as a run like all
that is set aside (`dfgen.store.redoing`), so that what it has cost still counts. Masks cost nothing
and are not kept.

Nothing else in a shard changes, so every stage that had nothing left to do in it has nothing left
to do afterwards: no model is loaded, nothing is paid for again.

Which shards lose rows stands in run.json before the first file changes, and the prompts that a
shard loses are copied into its folder of `history/` before anything else of it. A process that is
killed from there on leaves a shard that the next start, whatever it is to do and whatever the
source says by then, takes to its end first. A shard without that copy is as it was.

Where several share the run, whoever drops has the shards for itself until it is done
(`Run.reserve`): what others make of a prompt just now would be in no file that is set aside, and
its cost in no count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.store.atomic_files import make_directory
from dfgen.store.counts import count_stage
from dfgen.store.entries import ShardEntry, hash_file
from dfgen.store.expected_rows import CELLS_FACT
from dfgen.store.layout import BESIDE, HISTORY, Stage
from dfgen.store.manifest import Manifest, ShardDrop, StageRecord
from dfgen.store.redoing import FREE
from dfgen.store.reserving import AT_ONCE, Waiting
from dfgen.store.shards import ShardTable

if TYPE_CHECKING:
    from dfgen.store.growing import Place
    from dfgen.store.run import Run

IsDropped = Callable[[int, str | None], bool]


def drop_rows(
    run: Run, prompts: Iterable[Place], rejects: Iterable[Place], waiting: Waiting = AT_ONCE
) -> bool:
    """Remove prompts, with what every later stage has of them, and rejects of the first stage.

    The caller holds the run's lock, or shares the run and is the one that reads the source. Stages
    that are done stay so.

    Args:
        waiting: for others that work on the shards.

    Returns:
        Whether it was done; False: a stop was asked for while others had the shards.

    Raises:
        StorageError: something cannot be read or written; the next start goes on.
    """
    gone, stale = _group_by_shard(prompts), _group_by_shard(rejects)
    if not gone and not stale:
        return True
    with run.reserve(sorted({*gone, *stale}), waiting) as reserved:
        if reserved:
            _drop(run, gone, stale)
    return reserved


def _drop(run: Run, gone: Mapping[int, set[int]], stale: Mapping[int, set[int]]) -> None:
    names = {shard: _list_names(run, shard, rows) for shard, rows in gone.items()}
    order = [_plan(run, shard, names.get(shard)) for shard in sorted({*gone, *stale})]

    def change(manifest: Manifest) -> None:
        manifest.dropping = order
        record = manifest.stages.get("prompts", StageRecord()).model_copy(deep=True)
        record.state, record.finished = "running", None
        manifest.stages["prompts"] = record

    run.update(change)
    for each in order:
        if each.shard in stale:
            _remove_rejects(run, each.shard, stale[each.shard])
        if each.folder is not None:
            chosen, folder = gone[each.shard], run.root / HISTORY / each.folder
            there = range(run.table("prompts").num_rows(each.shard))
            _set_aside(run.table("prompts"), each.shard, [n in chosen for n in there], folder)
        _finish(run, each)
    _conclude(run)


def complete_dropping(run: Run, waiting: Waiting = AT_ONCE) -> list[str]:
    """Take to its end what a dropping that was interrupted has begun.

    The caller and `waiting` are those of `drop_rows`.

    Returns:
        What was done, in sentences; none, too, if a stop was asked for.

    Raises:
        StorageError: something cannot be read or written; the next start goes on.
    """
    if not run.manifest.dropping:
        return []
    with run.reserve([each.shard for each in run.manifest.dropping], waiting) as reserved:
        if not reserved:
            return []
        dropped = sum(_finish(run, each) for each in run.manifest.dropping)
        _conclude(run)
    if not dropped:
        return []
    what = f"{dropped:,} prompt{'' if dropped == 1 else 's'}"
    return [f"completed the dropping of {what} that an earlier start had begun; see history/"]


def _group_by_shard(places: Iterable[Place]) -> dict[int, set[int]]:
    """The rows of each shard."""
    found: dict[int, set[int]] = {}
    for place in places:
        found.setdefault(place.shard, set()).add(place.row)
    return found


def _list_names(run: Run, shard: int, rows: Collection[int]) -> set[str]:
    ids = run.table("prompts").read(shard, ["prompt_id"])["prompt_id"].to_pylist()
    return {ids[row] for row in rows}


def _plan(run: Run, shard: int, names: Collection[str] | None) -> ShardDrop:
    stages = [stage for stage in run.stages if stage != "prompts"]
    return ShardDrop(
        shard=shard,
        folder=None if names is None else _choose_folder(run, shard, names),
        current=[stage for stage in stages if run.is_current(stage, shard)],
    )


def _choose_folder(run: Run, shard: int, names: Collection[str]) -> str:
    """Where dropped prompts of a shard go: a folder that has none of this shard yet, and the same
    one for the same prompts as long as they are dropped once."""
    digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:12]
    first = name = f"dropped-{shard:05d}-{digest}"
    number = 1
    while _open_copies(run.table("prompts"), run.root / HISTORY / name).exists(shard):
        number += 1
        name = f"{first}-{number}"
    return name


def _finish(run: Run, order: ShardDrop) -> int:
    """Remove from a shard the prompts whose copies are in history; return how many these are."""
    shard, names = order.shard, set[str]()
    if order.folder is not None:
        folder = run.root / HISTORY / order.folder
        copies = _open_copies(run.table("prompts"), folder)
        if copies.exists(shard):
            names = set(copies.read(shard, ["prompt_id"])["prompt_id"].to_pylist())
            _remove_prompts(run, shard, names, folder)
    _note_files(run, shard, order.current)
    return len(names)


def _remove_rejects(run: Run, shard: int, rows: Collection[int]) -> None:
    ledger = run.rejects("prompts")
    _remove(run, "prompts", ledger, shard, "row_id", lambda place, _: place in rows)


def _remove_prompts(run: Run, shard: int, names: Collection[str], folder: Path) -> None:
    # What is made of something goes before it, so that no stage ever counts as done too early.
    for stage in reversed(run.stages):
        kept = None if stage in FREE or stage == "prompts" else folder
        ledger = () if stage == "prompts" else (run.rejects(stage),)
        for each in (*ledger, *_list_beside(run, stage), run.output(stage)):
            _remove(run, stage, each, shard, "prompt_id", lambda _, name: name in names, kept)


def _conclude(run: Run) -> None:
    """Count anew what stages that are done have, and forget the order."""
    for stage in run.stages:
        record = run.manifest.get_stage(stage)
        if stage == "prompts" or record.state != "done":
            continue
        counts = count_stage(run, stage)
        facts = {}
        if stage == "sample" and CELLS_FACT in record.facts:
            counts |= {"input": counts["output"] + counts["rejects"], "pending": 0}
            facts = {CELLS_FACT: counts["input"]}
        run.set_stage(stage, state="done", counts=counts, **facts)
    run.update(lambda manifest: manifest.dropping.clear())


def _note_files(run: Run, shard: int, current: Collection[Stage]) -> None:
    """Note the files of a shard as they are now: checksums, numbers of rows, generations."""
    for stage in run.stages:
        entry = run.entry(stage, shard)
        if entry is not None and run.output(stage).exists(shard):
            run.write_entry(stage, shard, _describe(run, stage, shard, entry, stage in current))


def _describe(run: Run, stage: Stage, shard: int, old: ShardEntry, current: bool) -> ShardEntry:
    output, ledger = run.output(stage), run.rejects(stage)
    entry = old.model_copy(deep=True)
    entry.sha256 = {}
    for table in (*_list_beside(run, stage), ledger, output):
        if table.exists(shard):
            table.verify(shard)  # damage must not become what a file is compared with
            entry.sha256[run.name_file(table, shard)] = hash_file(table.fetch(shard))
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
    run: Run,
    stage: Stage,
    table: ShardTable,
    shard: int,
    column: str,
    is_dropped: IsDropped,
    kept_in: Path | None = None,
) -> None:
    """Write a shard of a table again without some rows, if it has any of them.

    Args:
        stage: that the table is of.
        is_dropped: given the place of a row in the file and its value in the column.
        kept_in: a folder of `history/` in which the rows are kept; None: nowhere.
    """
    if not table.exists(shard):
        return
    values = table.read(shard, [column])[column].to_pylist()
    kept = [not is_dropped(place, value) for place, value in enumerate(values)]
    if kept_in is not None and not all(kept):
        _set_aside(table, shard, [not each for each in kept], kept_in)
    if not any(kept) and table.path(shard) != run.output(stage).path(shard):
        table.remove(shard)  # only the output of a stage has a file without any row
    elif not all(kept):
        table.write(shard, compress(table.iter_rows(shard), kept))


def _open_copies(table: ShardTable, folder: Path) -> ShardTable:
    return ShardTable(folder / table.directory.name, table.model, prefix=table.prefix)


def _set_aside(table: ShardTable, shard: int, chosen: Sequence[bool], folder: Path) -> None:
    """Copy rows of a shard into a folder, before they go."""
    target = _open_copies(table, folder)
    make_directory(target.directory)
    target.write(shard, compress(table.iter_rows(shard), chosen))
