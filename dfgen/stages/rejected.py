"""Says which rows a stage refused and why, and ends a run that has refused too many.

A reject is no failure of a run, and it is no secret either: every stage that has refused rows names
the reasons when it ends, with the command that shows the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfgen.errors import UnusableRowsError
from dfgen.grade.grading import is_failure
from dfgen.reasons.tally import ReasonTally
from dfgen.store.counts import count_stage
from dfgen.store.layout import Stage

if TYPE_CHECKING:
    from dfgen.store.run import Run

WANTED = frozenset({"group_decided", "over_group_cap", "outcome_dropped"})
"""Rejects that the pipeline file asks for (`sample.stop_early_after`, `repair.per_group`,
`mask.outcome: drop`): they are named like others and do not count against `max_reject_ratio`."""


def tally_rejects(run: Run, stage: Stage) -> ReasonTally:
    """Count the rejects of a stage by reason. Raises `StorageError`."""
    tally = ReasonTally()
    columns = ["reason", "row_id", "detail", "prompt_id"]
    for row in run.rejects(stage).iter_rows(columns=columns):
        tally.add(row["reason"], row["row_id"], row["detail"], row["prompt_id"])
    return tally


def describe_rejects(run: Run, stage: Stage) -> str | None:
    """Say how many rows a stage refused, the reasons, and the command that shows them.

    Returns:
        None if it has refused none.
    """
    if not run.rejects(stage).shards():
        return None
    tally, rows = tally_rejects(run, stage), count_stage(run, stage)["input"]
    what = tally.describe(with_prompts=stage != "prompts")
    return f"{stage}: {tally.total:,} of {rows:,} rows rejected: {what}. {name_command(run)}"


def refuse_excess(run: Run, stage: Stage, limit: float) -> None:
    """End the run if a stage has refused more than the allowed share of its rows.

    Args:
        run: with the stage done, or done as far as it will be.
        stage: that has just ended.
        limit: `max_reject_ratio`.

    Raises:
        UnusableRowsError: names the share, the reasons and an example.
    """
    counts = count_stage(run, stage)
    if not counts["rejects"] or counts["rejects"] <= limit * counts["input"]:
        return
    tally = tally_rejects(run, stage)
    unwanted = tally.total - sum(tally.rows[reason] for reason in WANTED)
    if unwanted <= limit * counts["input"]:
        return
    raise UnusableRowsError(
        f"the {stage} stage rejected {unwanted:,} of {counts['input']:,} rows, more than the "
        f"{limit:.0%} that max_reject_ratio allows: {tally.describe(with_prompts=True)}.",
        where=str(run.root),
        hint=f"{tally.explain()} {name_command(run)}",
    )


def refuse_failed_grading(run: Run) -> None:
    """End a run whose grader has failed on every answer: nobody knows which of them are wrong.

    Raises:
        UnusableRowsError: says with what it failed.
    """
    details = ReasonTally()
    for row in run.table("trajectories").iter_rows(columns=["trajectory_id", "verdict"]):
        verdict = row["verdict"]
        if not is_failure(verdict["undecided"], verdict["extracted"], verdict["detail"]):
            return
        details.add(verdict["detail"], row["trajectory_id"], verdict["grader"])
    if not details.total:
        return
    (detail, rows), *_ = details.rows.most_common(1)
    row_id, grader = details.examples[detail]
    raise UnusableRowsError(
        f"the grader {grader!r} failed on every one of {details.total:,} answers, "
        f"{rows:,} times with: {detail}",
        where=f"{run.root}, first {row_id}",
        hint=f"Mend it, then `dfgen regrade {run.root}` grades the answers anew; none is drawn "
        "again.",
    )


def name_command(run: Run) -> str:
    """Name the command that shows the rejects of a run."""
    return f"`dfgen inspect {run.root} --rejects` shows them."
