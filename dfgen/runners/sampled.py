"""What the sample stage has on disk for a shard, and what is being added to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from dfgen.records import Reject, Trajectory
from dfgen.runners.session import Session
from dfgen.stages.sample import AnswerKey, Draw


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


def read_written(session: Session, shard: int) -> Written:
    """Read a shard's trajectories and rejects; empty if it was never written."""
    table, ledger = session.run.table("trajectories"), session.run.rejects("sample")
    rows = table.iter_rows(shard) if table.exists(shard) else ()
    rejects = ledger.iter_rows(shard) if ledger.exists(shard) else ()
    return Written(
        {row["trajectory_id"]: Trajectory.model_validate(row) for row in rows},
        {row["row_id"]: Reject.model_validate(row) for row in rejects},
    )


@dataclass
class OpenShard:
    """A shard in work.

    Attributes:
        keys: what grading needs of each prompt, by prompt_id.
        draws: what is in the journal, by trajectory_id.
        missing: cells asked for and not drawn yet.
        deciding: these cells are the first ones of their groups, and what comes after them depends
            on how they turn out.
        decided: prompts of which no more is drawn, and whether they were right.
    """

    keys: dict[str, AnswerKey]
    draws: dict[str, Draw]
    missing: int
    deciding: bool
    decided: dict[str, bool] = field(default_factory=dict)
