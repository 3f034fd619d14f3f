"""Keeps what the sample stage has on disk for a shard, and what is being added to it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from dfgen.records import Reject, Trajectory
from dfgen.stages.sample.draws import AnswerKey, Draw
from dfgen.stages.session import Session


@dataclass
class Written:
    """Rows and rejects in a shard's files, by trajectory_id. There are some when `num_samples` has
    grown."""

    rows: dict[str, Trajectory] = field(default_factory=dict)
    rejects: dict[str, Reject] = field(default_factory=dict)

    @property
    def cells(self) -> set[str]:
        """All cells that need not be drawn."""
        return self.rows.keys() | self.rejects.keys()

    def add(self, row: Trajectory | Reject) -> None:
        """Take in a graded row."""
        if isinstance(row, Reject):
            self.rejects[row.row_id] = row
        else:
            self.rows[row.trajectory_id] = row


def read_written(session: Session, shard: int) -> Written:
    """Read a shard's trajectories and rejects; empty if it was never written."""
    table, ledger = session.run.table("trajectories"), session.run.rejects("sample")
    rows = table.iter_rows(shard) if table.exists(shard) else ()
    rejects = ledger.iter_rows(shard) if ledger.exists(shard) else ()
    return Written(
        {row["trajectory_id"]: Trajectory.model_validate(row) for row in rows},
        {row["row_id"]: Reject.model_validate(row) for row in rejects},
    )


def find_drawn(session: Session, names: Collection[str]) -> set[str]:
    """Return those of some cells that are on record, by trajectory_id.

    Raises:
        StorageError: a file cannot be read.
    """
    run, wanted, found = session.run, set(names), set()
    for table, column in (
        (run.table("trajectories"), "trajectory_id"),
        (run.rejects("sample"), "row_id"),
    ):
        found |= {row[column] for row in table.iter_rows(columns=[column])} & wanted
    for stage, shard in run.list_journals():
        if stage == "sample":
            drawn = session.journal(stage, shard, Draw).replay()
            found |= {record["trajectory_id"] for record in drawn} & wanted
    return found


@dataclass
class OpenShard:
    """A shard in work.

    Attributes:
        keys: what grading needs of each prompt, by prompt_id.
        missing: cells asked for and not drawn yet.
        deciding: these cells are the first ones of their groups, and what comes after them depends
            on how they turn out.
        done: cells that need not be drawn, by trajectory_id: written before, or in the journal.
        ungraded: draws in the journal that nobody has begun to grade.
        graded: rows and rejects to be written, with those that an earlier pass has written.
        decided: prompts of which no more is drawn, and whether they were right.
    """

    keys: dict[str, AnswerKey]
    missing: int = 0
    deciding: bool = False
    done: set[str] = field(default_factory=set)
    ungraded: list[Draw] = field(default_factory=list)
    graded: Written = field(default_factory=Written)
    decided: dict[str, bool] = field(default_factory=dict)

    def add(self, draws: list[Draw]) -> None:
        """Take in draws that the journal has; those of cells that are done are left out."""
        self.ungraded += [draw for draw in draws if draw.trajectory_id not in self.done]
        self.done.update(draw.trajectory_id for draw in draws)
