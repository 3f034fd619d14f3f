"""Names in a run directory: stages, tables, files.

    RUN/run.json                        manifest
    RUN/run.lock                        who works on it (only while somebody does)
    RUN/prompts/part-00000.parquet      output of the stage `prompts`; likewise trajectories/
                                        (sample), repairs/ (repair), masks/ (mask)
    RUN/controls/part-00000.parquet     what the repairer did to right trajectories; no stage reads
                                        them, and a shard without any has no file
    RUN/rejects/sample-00000.parquet    rows of a stage and shard that went no further
    RUN/journal/sample-00000.jsonl      finished cells of a shard that is not finished

Shard i of every table holds the rows that descend from shard i of `prompts`, in one order: that of
the prompts, then sample_index.
"""

from __future__ import annotations

from typing import Literal, get_args

from dfgen.records import Control, Mask, Prompt, Record, Repair, Trajectory

Stage = Literal["prompts", "sample", "repair", "mask"]
Table = Literal["prompts", "trajectories", "repairs", "controls", "masks"]

STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which rows flow."""

OUTPUTS: dict[Stage, Table] = {
    "prompts": "prompts",
    "sample": "trajectories",
    "repair": "repairs",
    "mask": "masks",
}
"""The table that a stage writes."""

TABLES: dict[Table, type[Record]] = {
    "prompts": Prompt,
    "trajectories": Trajectory,
    "repairs": Repair,
    "controls": Control,
    "masks": Mask,
}
"""The record of each table's rows."""

MANIFEST = "run.json"
LOCK = "run.lock"
REJECTS = "rejects"
JOURNAL = "journal"

TEMPORARY_PREFIX = ".dfgen-"
"""Files being written carry it, so that no `*.parquet` pattern of anybody finds them."""


def list_upstream(stage: Stage) -> tuple[Stage, ...]:
    """Stages whose rows a stage reads, in order, itself left out."""
    return STAGES[: STAGES.index(stage)]


def make_trajectory_id(prompt_id: str, sample_index: int) -> str:
    """The key of a cell: `<prompt_id>-<sample_index>`."""
    return f"{prompt_id}-{sample_index}"
