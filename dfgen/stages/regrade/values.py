"""Sets aside what continuations said by the old grader, whose texts nobody has kept.

Values are shares of continuations that ended right. Another grader may call others right, and there
is nothing left for it to read: they are drawn anew by whoever wants them, and masks without them
are made anew, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dfgen.store.fields import RESULT_FIELDS
from dfgen.store.redoing import begin_redo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dfgen.store.fingerprint import Difference
    from dfgen.store.layout import Stage
    from dfgen.store.run import Run

STAGE: Stage = "value"


def is_another_grader(differences: Sequence[Difference]) -> bool:
    """Say whether settings differ by which an answer may be right and not right."""
    return any(each.field in RESULT_FIELDS["sample"] for each in differences)


def has_other_rewards(changes: Mapping[str, Any]) -> bool:
    """Say whether the same settings graded otherwise: the grader's own code has changed."""
    names = ("right_to_wrong", "wrong_to_right", "other_reward")
    return any(changes[name] for name in names)


def count_values(run: Run) -> int:
    """Count the answers whose continuations were graded."""
    table = run.table("values")
    return sum(map(table.num_rows, table.shards()))


def describe_values(count: int, *, goes: bool) -> dict[str, dict[str, int]]:
    """Describe what becomes of values, for the outcome; nothing where there are none."""
    if not count:
        return {}
    return {"values": {"kept": 0 if goes else count, "set_aside": count if goes else 0}}


def set_values_aside(run: Run) -> None:
    """Move values to the run's history, with what is drawn of them so far; masks go.

    Killed on the way, the next start goes on with it; a second call finds nothing left.

    Raises:
        StorageError: something cannot be moved.
    """
    shards = sorted(
        {shard for stage, shard in run.list_journals() if stage == STAGE}
        | {*run.output(STAGE).shards(), *run.rejects(STAGE).shards()}
    )
    if not shards:
        return
    masks = [shard for shard in shards if run.output("mask").exists(shard)]
    before = run.manifest.redoing
    begin_redo(
        run,
        # An order of the user's that is not carried out to its end is remembered.
        before.asked if before is not None else {},
        {STAGE: shards, **({"mask": masks} if masks else {})},
    )
