"""Says which rows a stage has to account for in a shard: its cells.

prompts   the rows of the source
sample    every prompt x num_samples; in an imported run, the imported rows
repair    every trajectory that is not right
mask      every trajectory
"""

from __future__ import annotations

from typing import Protocol

from dfgen.records import is_right
from dfgen.store.entries import ShardEntry
from dfgen.store.layout import STAGES, Stage, Table
from dfgen.store.manifest import Manifest
from dfgen.store.shards import ShardTable

CELLS_FACT = "cells"
"""Fact of `sample` in the manifest: number of imported rows."""


class Tables(Protocol):
    """What is looked at of a run (`dfgen.store.run.Run`, which itself asks these functions)."""

    @property
    def manifest(self) -> Manifest:
        """What the run is."""
        ...

    def table(self, name: Table) -> ShardTable:
        """Return the shards of a table."""
        ...

    def output(self, stage: Stage) -> ShardTable:
        """Return the table that a stage writes."""
        ...

    def rejects(self, stage: Stage) -> ShardTable:
        """Return the rejects of a stage."""
        ...

    def entry(self, stage: Stage, shard: int) -> ShardEntry | None:
        """Return what is remembered of a finished shard."""
        ...


def read_num_samples(run: Tables) -> list[int]:
    """Read the group sizes a run had, ascending; the last one holds. Empty if it is imported."""
    record = run.manifest.get_stage("sample")
    if CELLS_FACT in record.facts or run.manifest.pipeline.get("imports"):
        return []
    if record.samples_history:
        return record.samples_history
    return [int(run.manifest.pipeline["sample"]["num_samples"])]


def count_inputs(run: Tables, stage: Stage, shard: int) -> int | None:
    """Count the cells of a stage in a shard; None if the files cannot tell.

    That is so for prompts, whose source is not in the run, for imported trajectories, and for a
    side stage, which chooses the rows that it says something of.
    Raises `StorageError` if a file cannot be read.
    """
    if stage == "prompts" or stage not in STAGES:
        return None
    if stage == "sample":
        history = read_num_samples(run)
        if not history or not run.table("prompts").exists(shard):
            return None
        return count_written(run, "prompts", shard) * history[-1]
    trajectories = run.table("trajectories")
    if not trajectories.exists(shard):
        return None
    if stage == "mask":
        return count_written(run, "sample", shard)
    return sum(not is_right(row["reward"]) for row in trajectories.iter_rows(shard, ["reward"]))


def is_complete(run: Tables, stage: Stage, shard: int) -> bool:
    """Say whether output and rejects of a shard account for all its cells.

    That it was made from the inputs there are now is another question (`Run.is_current`); only of
    masks that an earlier dfgen made, without an entry, it is asked here.
    """
    if not run.output(stage).exists(shard):
        return False
    if stage not in STAGES:  # a side stage says something of every row or refuses it at the end
        return True
    noted = _find_note(run, stage, shard)
    if noted is not None and stage == "repair":
        return True  # it was finished with a row or a reject for each wrong answer
    inputs = count_inputs(run, stage, shard)
    refused = count_refused(run, stage, shard)
    if inputs is not None and count_written(run, stage, shard) + refused < inputs:
        return False
    return (
        stage != "mask"
        or run.entry(stage, shard) is not None
        or not find_unused_repairs(run, shard)
    )


def _find_note(run: Tables, stage: Stage, shard: int) -> ShardEntry | None:
    """The note on a finished shard whose file is in a bucket and not here: that is not asked for
    what its note says as well. None: look into the file."""
    if not run.output(stage).is_away(shard):
        return None
    entry = run.entry(stage, shard)
    return None if entry is None or -1 in entry.made_from.values() else entry


def count_written(run: Tables, stage: Stage, shard: int) -> int:
    """Count the rows that a stage has written of a shard. Raises `StorageError`."""
    noted = _find_note(run, stage, shard)
    return run.output(stage).num_rows(shard) if noted is None else noted.rows


def count_refused(run: Tables, stage: Stage, shard: int) -> int:
    """Count the rejects of a stage in a shard. Raises `StorageError`."""
    noted = _find_note(run, stage, shard)
    if noted is not None:
        return noted.rejects
    rejects = run.rejects(stage)
    return rejects.num_rows(shard) if rejects.exists(shard) else 0


def find_unused_repairs(run: Tables, shard: int) -> set[str]:
    """Repaired trajectories whose mask was made without the repair, by trajectory_id.

    There are some if `mask` ran before `repair`.
    """
    repairs, masks, rejects = run.table("repairs"), run.table("masks"), run.rejects("mask")
    if not repairs.exists(shard):
        return set()
    used = {
        row["trajectory_id"]
        for row in masks.iter_rows(shard, ["trajectory_id", "mask_source"])
        if row["mask_source"] == "repair"
    }
    if rejects.exists(shard):
        used |= {row["row_id"] for row in rejects.iter_rows(shard, ["row_id"])}
    return {row["trajectory_id"] for row in repairs.iter_rows(shard, ["trajectory_id"])} - used
