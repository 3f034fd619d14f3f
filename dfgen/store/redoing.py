"""Sets finished shards of a run aside, so that their stage makes them anew.

What cost something is moved, not deleted: `RUN/history/0001/`, `0002/`, ... hold the files of one
such order each, laid out as in the run itself, and whoever counts what a run has cost counts them,
too. Masks cost nothing and are removed.

The order stands in run.json before the first file moves, and each file moves at once or not at all.
A process that is killed in between leaves a run whose next start, whatever it is to do, finishes
the order first. The order stays on record until a command that makes its stages has ended well, so
that the same command given again goes on instead of beginning once more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from dfgen.errors import DamagedFileError
from dfgen.store.atomic_files import move_file, remove_files
from dfgen.store.entries import ShardEntry, find_entry_file
from dfgen.store.layout import BESIDE, HISTORY, JOURNAL, Stage, list_downstream, list_inputs
from dfgen.store.manifest import Manifest, RedoOrder, StageRecord, format_now
from dfgen.store.mounts import exists, list_folders
from dfgen.store.os_errors import explain_os_errors

if TYPE_CHECKING:
    from pathlib import Path

    from dfgen.store.run import Run

FREE: tuple[Stage, ...] = ("mask",)
"""Stages whose shards are made again at no cost but time, and are not kept."""

DAMAGED = ".damaged"
"""Ending of a file in `history/` that could not be read; it is no table of the run any more."""


def begin_redo(
    run: Run,
    asked: Mapping[Stage, Sequence[int]],
    shards: Mapping[Stage, Sequence[int]],
    damaged: Collection[Path] = (),
) -> RedoOrder:
    """Note the order in run.json, then carry it out. The caller holds the run's lock.

    Args:
        asked: what the user named, by stage.
        shards: all that goes: these, and what is made of them.
        damaged: files that cannot be read.

    Raises:
        StorageError: something cannot be written; the next start goes on.
    """
    order = RedoOrder(
        at=format_now(),
        folder=_choose_folder(run),
        asked={stage: sorted(each) for stage, each in asked.items()},
        shards={stage: sorted(each) for stage, each in shards.items()},
        damaged=sorted(path.relative_to(run.root).as_posix() for path in damaged),
    )

    def change(manifest: Manifest) -> None:
        manifest.redoing = order
        for stage in order.shards:
            record = manifest.stages.get(stage, StageRecord()).model_copy(deep=True)
            if record.state == "done":
                record.state, record.finished, record.counts = "running", None, {}
            manifest.stages[stage] = record

    run.update(change)
    complete_redo(run)
    return order


def complete_redo(run: Run) -> None:
    """Carry out what the order in run.json has left to do, if there is one.

    Raises:
        StorageError: something cannot be moved; the next start goes on.
    """
    order = run.manifest.redoing
    if order is None or order.moved:
        return
    for stage, shards in order.shards.items():
        for shard in shards:
            _reopen(run, order, stage, shard)
            _move(run, order, stage, shard)

    def change(manifest: Manifest) -> None:
        if manifest.redoing is not None:
            manifest.redoing.moved = True

    run.update(change)


def end_redo(run: Run, stages: Collection[Stage]) -> None:
    """Forget the order if these stages, which are done, are what it asked for."""
    order = run.manifest.redoing
    if order is not None and order.asked.keys() <= set(stages):
        run.update(lambda manifest: setattr(manifest, "redoing", None))


def list_history(run: Run) -> list[Path]:
    """List the folders of what was set aside, the oldest first; each is laid out as a run."""
    folder = run.root / HISTORY
    with explain_os_errors(folder, "list"):
        return sorted(folder / name for name in list_folders(folder))


def advise_history(folder: Path) -> str:
    """Say what may be done about a folder of `list_history` in which a file cannot be read."""
    return (
        f"Restore it from a backup; or delete {folder}: the run needs nothing in it, but then its "
        "requests and their cost are missing in every count and limit of what this run has spent."
    )


def _choose_folder(run: Run) -> str:
    last = max((int(each.name) for each in list_history(run) if each.name.isdigit()), default=0)
    return f"{HISTORY}/{last + 1:04d}"


def _reopen(run: Run, order: RedoOrder, stage: Stage, shard: int) -> None:
    """Let a shard count as not made, in a way that what is made of it later can tell.

    Where later stages keep what they have made of it, the entry stays: the shard made anew is then
    the same generation if it has the same bytes, and the next one if not.
    """
    folder, known = run.root / JOURNAL, _read_entry(run, stage, shard)
    staying = [
        each
        for each in list_downstream(stage)
        if run.output(each).exists(shard) and shard not in order.shards.get(each, ())
    ]
    if not staying:
        with explain_os_errors(folder, "clean up"):
            remove_files([find_entry_file(folder, stage, shard)], run.desk)
        source = None if known is None or _is_whole(run, order, stage) else known.source

        def forget(manifest: Manifest) -> None:
            manifest.shards.get(stage, {}).pop(shard, None)

        if source is None:
            run.update(forget)
        else:  # the rows of the user's source that it is to be cut from again
            run.write_entry(stage, shard, ShardEntry(source=source))
        return
    entry = (known or ShardEntry()).model_copy(deep=True)
    entry.made_from = dict.fromkeys(list_inputs(stage), -1)
    run.write_entry(stage, shard, entry)


def _read_entry(run: Run, stage: Stage, shard: int) -> ShardEntry | None:
    """What is remembered of a shard; None also where that is damaged, which is no way back."""
    try:
        return run.entry(stage, shard)
    except DamagedFileError:
        return None


def _is_whole(run: Run, order: RedoOrder, stage: Stage) -> bool:
    left = {*run.output(stage).shards(), *run.list_noted(stage)}
    return left <= set(order.shards[stage])


def _move(run: Run, order: RedoOrder, stage: Stage, shard: int) -> None:
    tables = [run.output(stage), run.rejects(stage), *map(run.table, BESIDE.get(stage, ()))]
    paths = [table.path(shard) for table in tables]
    paths += run.list_journal_files(stage, shard)
    for path in paths:
        name = path.relative_to(run.root).as_posix()
        target = run.root / order.folder / name
        if name in order.damaged:
            target = target.with_name(target.name + DAMAGED)
        with explain_os_errors(path, "move"):
            if not exists(path):
                continue  # there was none, or it has moved before the process was killed
            if stage in FREE:
                remove_files([path], run.desk)
            else:
                move_file(path, target, run.desk)
