"""Counts the rows each stage of a run was given, has written, refused, and has yet to do.

Shard i of every table descends from shard i of the prompts, so one shard is looked at at a time.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dfgen.store.expected_rows import (
    CELLS_FACT,
    count_inputs,
    count_refused,
    count_written,
    read_num_samples,
)
from dfgen.store.layout import STAGES, Kind, Stage

if TYPE_CHECKING:
    from dfgen.store.run import Run

WITHOUT_TRAJECTORIES: tuple[Kind, ...] = ("pairs", "retokenized")
"""Kinds of runs whose masks are not made of trajectories of their own. How many rows there are to
mask is known when all are read; the manifest has it then."""


def count_rows(run: Run) -> dict[Stage, dict[str, int]]:
    """Count rows of each stage: `input`, `output`, `rejects`, `pending`, which add up.

    `input` of a stage counts what the stages before it have given so far. Rows that were made from
    rows which have been written anew since are pending: their stage makes them anew. Footers are
    read, and one column of the trajectories.

    Raises:
        StorageError: a file cannot be read.
    """
    return {stage: count_stage(run, stage) for stage in run.stages}


def count_reject_reasons(run: Run) -> dict[Stage, dict[str, int]]:
    """Rejects of each stage by reason code, most frequent first. Raises `StorageError`."""
    return {
        stage: dict(
            Counter(
                row["reason"] for row in run.rejects(stage).iter_rows(columns=["reason"])
            ).most_common()
        )
        for stage in run.stages
    }


def count_stage(run: Run, stage: Stage) -> dict[str, int]:
    """Count rows of one stage, as `count_rows` does for all."""
    written, refused = _count_written(run, stage), _count_refused(run, stage)
    record = run.manifest.get_stage(stage)
    if stage not in STAGES:
        inputs = written + refused
    elif stage == "prompts" or run.manifest.kind in WITHOUT_TRAJECTORIES:
        inputs = record.counts.get("input", written + refused)
    elif stage == "sample" and not read_num_samples(run):
        # Rows are counted while they are imported; how many there are is known at the end.
        inputs = written + refused
        if record.state == "done":
            inputs = int(record.facts.get(CELLS_FACT, inputs))
    else:
        shards = run.table("prompts").shards()
        inputs = sum(count_inputs(run, stage, shard) or 0 for shard in shards)
    return {
        "input": inputs,
        "output": written,
        "rejects": refused,
        "pending": inputs - written - refused,
    }


def _count_written(run: Run, stage: Stage) -> int:
    if run.manifest.kind == "pairs" and stage == "prompts":
        # Every row that could be read is a pair, but only some have a question or pictures, and
        # several may share them; the table holds these.
        return _count_written(run, "mask") + _count_refused(run, "mask")
    output = run.output(stage)
    held = (shard for shard in output.shards() if _holds(run, stage, shard))
    return sum(count_written(run, stage, shard) for shard in held)


def _count_refused(run: Run, stage: Stage) -> int:
    held = (shard for shard in run.rejects(stage).shards() if _holds(run, stage, shard))
    return sum(count_refused(run, stage, shard) for shard in held)


def _holds(run: Run, stage: Stage, shard: int) -> bool:
    """Whether what a stage wrote of a shard still stands; else its rows are to be made anew."""
    return not run.output(stage).exists(shard) or run.is_current(stage, shard)
