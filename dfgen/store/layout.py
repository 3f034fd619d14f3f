"""Names the stages, tables and files of a run directory.

    RUN/run.json                        manifest
    RUN/run.lock                        who works on it (only while somebody does)
    RUN/run.activity                    what that process does right now, for people who look
    RUN/prompts/part-00000.parquet      output of the stage `prompts`; likewise trajectories/
                                        (sample), repairs/ (repair), masks/ (mask)
    RUN/controls/part-00000.parquet     what the repairer did to right trajectories; no stage reads
                                        them, and a shard without any has no file
    RUN/scores/part-00000.parquet       how probable answers and repairs are to the policy (score)
    RUN/values/part-00000.parquet       where the policy lost its success in wrong answers (value)
    RUN/rejects/sample-00000.parquet    rows of a stage and shard that went no further
    RUN/journal/sample-00000.jsonl      finished cells of a shard that is not finished
    RUN/journal/sample-00000.done.json  what the manifest will say of a shard that is (ShardEntry),
                                        until the stage is done and run.json takes it in
    RUN/batches/repair.jsonl            which requests are out in batches or files, and what came
    RUN/batches/repair/...              of them; the files themselves, while they are out
    RUN/journal/sample-00000/...        the same, a file for each process that had the shard, where
                                        several share the run (dfgen.store.journal_files)
    RUN/shared/...                      who they are and who has which shard
                                        (dfgen.store.shared.crew, dfgen.store.shared.claims)
    RUN/launch/0001/...                 scripts and logs of workers that a scheduler was given
    RUN/history/0001/...                what was set aside to be made anew, laid out as a run
                                        (dfgen.store.redoing)

Shard i of every table holds the rows that descend from shard i of `prompts`, in one order: that of
the prompts, then sample_index.

A *side stage* computes something about trajectories that are there already (teacher-forced scores,
say) and writes a table of its own, keyed by trajectory_id. The mask stage takes up the columns of
every side table that a mask has, too, and makes a shard anew when a side table of it changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from dfgen.records import Control, Mask, Prompt, Record, Repair, Score, Trajectory, Value

Stage = str
"""Name of a stage: one of `STAGES`, or of a side stage."""

Table = str
"""Name of a table, which is that of its folder."""

Kind = Literal["sampled", "imported", "pairs", "retokenized"]
"""Where the wrong answers of a run come from."""

MANIFEST = "run.json"
LOCK = "run.lock"
ACTIVITY = "run.activity"
REJECTS = "rejects"
JOURNAL = "journal"
HISTORY = "history"
BATCHES = "batches"
SHARED = "shared"
LAUNCH = "launch"

TEMPORARY_PREFIX = ".dfgen-"
"""Files being written carry it, so that no `*.parquet` pattern of anybody finds them."""


@dataclass(frozen=True, slots=True)
class StageLayout:
    """Where a stage stands in a run directory.

    Attributes:
        stage: its name.
        output: the table that it writes.
        record: of a row of that table.
        reads: the tables that it is made from; when a shard of one changes, that shard of the
            output is to be made anew.
    """

    stage: Stage
    output: Table
    record: type[Record]
    reads: tuple[Table, ...]


_FLOW = (
    StageLayout("prompts", "prompts", Prompt, ()),
    StageLayout("sample", "trajectories", Trajectory, ("prompts",)),
    StageLayout("repair", "repairs", Repair, ("trajectories",)),
    StageLayout("mask", "masks", Mask, ("trajectories", "repairs")),
)

_SIDE: dict[Stage, StageLayout] = {
    "score": StageLayout("score", "scores", Score, ("trajectories", "repairs")),
    "value": StageLayout("value", "values", Value, ("trajectories", "repairs")),
}

STAGES: tuple[Stage, ...] = tuple(layout.stage for layout in _FLOW)
"""In the order in which rows flow."""

OUTPUTS: dict[Stage, Table] = {layout.stage: layout.output for layout in (*_FLOW, *_SIDE.values())}
"""The table that a stage writes."""

TABLES: dict[Table, type[Record]] = {
    **{layout.output: layout.record for layout in _FLOW},
    "controls": Control,
    **{layout.output: layout.record for layout in _SIDE.values()},
}
"""The record of each table's rows."""

BESIDE: dict[Stage, tuple[Table, ...]] = {"repair": ("controls",)}
"""Tables that a stage writes beside its output."""

_MAIN: tuple[Table, ...] = (*(layout.output for layout in _FLOW), "controls", REJECTS)

EXTRA_JOURNALS = ("retry", "regrade")
"""Names of journals of shards that `sample` has finished and works on again."""

TABLES_OF_KIND: dict[Kind, tuple[Table, ...]] = {
    "sampled": _MAIN,
    "imported": _MAIN,
    "pairs": ("prompts", "masks", REJECTS),
    "retokenized": ("masks", REJECTS),
}
"""The tables that a run of a kind may have, side tables left out."""


@contextmanager
def add_side_stage(layout: StageLayout) -> Iterator[None]:
    """Make a side stage known, for good or, as a context, for a while.

    Raises:
        ValueError: its name, or that of its table, is taken.
    """
    if layout.stage in OUTPUTS or layout.output in TABLES:
        raise ValueError(f"a stage {layout.stage} or a table {layout.output} is there already")
    _SIDE[layout.stage] = layout
    OUTPUTS[layout.stage], TABLES[layout.output] = layout.output, layout.record
    try:
        yield
    finally:
        del _SIDE[layout.stage], OUTPUTS[layout.stage], TABLES[layout.output]


def list_stages() -> tuple[Stage, ...]:
    """List all stages, the side stages last."""
    return (*STAGES, *_SIDE)


def list_side_stages() -> tuple[Stage, ...]:
    """List the side stages."""
    return tuple(_SIDE)


def list_side_tables() -> tuple[Table, ...]:
    """List the tables of the side stages."""
    return tuple(layout.output for layout in _SIDE.values())


def list_inputs(stage: Stage) -> tuple[Table, ...]:
    """List the tables that a stage is made from; for masks, whatever side tables there are, too."""
    reads = next(layout.reads for layout in (*_FLOW, *_SIDE.values()) if layout.stage == stage)
    return (*reads, *list_side_tables()) if stage == "mask" else reads


def list_downstream(stage: Stage) -> tuple[Stage, ...]:
    """List the stages that are made from what a stage writes, directly."""
    return tuple(each for each in list_stages() if OUTPUTS[stage] in list_inputs(each))


def find_writer(table: Table) -> Stage:
    """Find the stage that writes a table, as its output or beside it."""
    written = {stage: (output, *BESIDE.get(stage, ())) for stage, output in OUTPUTS.items()}
    return next(stage for stage, tables in written.items() if table in tables)


def list_upstream(stage: Stage) -> tuple[Stage, ...]:
    """Stages whose settings the rows of a stage depend on, in order, itself left out."""
    if stage in _SIDE:
        return STAGES[: STAGES.index("mask")]
    return STAGES[: STAGES.index(stage)]
