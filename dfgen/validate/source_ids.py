"""Checks that own ids and carried columns say the same in every table of a run.

What a user looks up by an own id must be the row that had it in the source; nothing that put the
ids into the tables is used here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dfgen.store.counts import WITHOUT_TRAJECTORIES

if TYPE_CHECKING:
    from dfgen.store.run import Run
    from dfgen.store.shards import ShardTable

Ids = dict[str, str | None]


def check_source_ids(run: Run) -> Iterator[str]:
    """Find rows whose `source_id` or `metadata` is not that of what they were made from.

    A shard of each table is read at a time, few columns of it; in memory stand the ids of prompts.

    Raises:
        StorageError: a file cannot be read.
    """
    if run.manifest.kind in WITHOUT_TRAJECTORIES:
        return
    section = run.manifest.pipeline.get("prompts") or {}
    named = bool((section.get("columns") or {}).get("id"))
    seen, again = set[str](), list[str]()
    for shard in run.table("prompts").shards():
        prompts = _read_ids(run.table("prompts"), shard, "prompt_id")
        yield from _check_prompts(run, shard, prompts, named, seen, again)
        trajectories = _read_ids(run.table("trajectories"), shard, "trajectory_id")
        if run.manifest.kind == "sampled":
            expected = {key: prompts.get(key.rpartition("-")[0]) for key in trajectories}
            yield from _compare(run.table("trajectories"), shard, trajectories, expected)
            yield from _check_rejects(run, shard, prompts)
        if run.is_current("mask", shard):
            masks = _read_ids(run.table("masks"), shard, "trajectory_id")
            yield from _compare(run.table("masks"), shard, masks, trajectories)
            yield from _check_metadata(run, shard)
    if len(again) > _count_left_behind(run):
        yield from again


def _count_left_behind(run: Run) -> int:
    """Count the prompts that the source may lack by now.

    A row of the source that asks something else under its own id than it did is a new prompt, and
    the run keeps the old one: that is an own id which is there twice, and right.
    """
    absent = run.manifest.get_stage("prompts").facts.get("absent") or {}
    missing: int = absent.get("missing", {}).get("count", 0)
    unread: int = absent.get("unread", 0)
    return missing + unread


def _check_prompts(
    run: Run, shard: int, prompts: Ids, named: bool, seen: set[str], again: list[str]
) -> Iterator[str]:
    """Check the ids of a shard; those that an earlier prompt has are added to `again`."""
    path = run.table("prompts").path(shard)
    for key, name in prompts.items():
        if name is None:
            if named:
                yield f"{path}: prompt {key} has no own id, and prompts.columns.id names a column"
            continue
        if name in seen:
            again.append(f"{path}: the own id {name!r} is there twice")
        seen.add(name)


def _check_rejects(run: Run, shard: int, prompts: Ids) -> Iterator[str]:
    for stage in run.stages:
        ledger = run.rejects(stage)
        if stage == "prompts" or not ledger.exists(shard):
            continue
        for row in ledger.iter_rows(shard, ["row_id", "prompt_id", "source_id"]):
            if row["source_id"] != prompts.get(row["prompt_id"]):
                yield f"{ledger.path(shard)}: {row['row_id']} has the own id of another prompt"


def _check_metadata(run: Run, shard: int) -> Iterator[str]:
    """Hold what masks carry against what was read with the questions and answers."""
    table = run.table("masks")
    if not table.exists(shard):
        return
    names = run.manifest.pipeline["mask"].get("metadata") or []
    asked, answered = dict[str, str](), dict[str, str]()
    if names:
        asked = _read_column(run.table("prompts"), shard, "prompt_id", "metadata")
        answered = _read_column(run.table("trajectories"), shard, "trajectory_id", "metadata")
    for row in table.iter_rows(shard, ["trajectory_id", "prompt_id", "metadata"]):
        expected: dict[str, Any] | None = None
        if names:
            both = (asked.get(row["prompt_id"]), answered.get(row["trajectory_id"]))
            known: dict[str, Any] = {}
            for text in both:
                known.update(json.loads(text or "{}"))
            expected = {name: known.get(name) for name in names}
        found = None if row["metadata"] is None else json.loads(row["metadata"])
        if found != expected:
            yield (
                f"{table.path(shard)}: {row['trajectory_id']} carries other metadata than its "
                "question and answer have"
            )


def _compare(table: ShardTable, shard: int, found: Ids, expected: Ids) -> Iterator[str]:
    for key, name in found.items():
        if key in expected and name != expected[key]:
            yield (
                f"{table.path(shard)}: {key} has the own id {name!r}, and what it was made from "
                f"has {expected[key]!r}"
            )


def _read_ids(table: ShardTable, shard: int, key: str) -> Ids:
    return _read_column(table, shard, key, "source_id")


def _read_column(table: ShardTable, shard: int, key: str, column: str) -> dict[str, Any]:
    if not table.exists(shard):
        return {}
    return {row[key]: row[column] for row in table.iter_rows(shard, [key, column])}
