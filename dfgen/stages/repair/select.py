"""Selects what is repaired: wrong trajectories worth it, once each, and right ones as controls."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dfgen.config.grade import UndecidedPolicy
from dfgen.config.repair import RepairConfig
from dfgen.errors import RowError
from dfgen.grade.registry import is_built_in
from dfgen.records import RIGHT_REWARD, Trajectory, is_right

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Selection:
    """The wrong trajectories of a shard, sorted by what happens to them.

    Attributes:
        leaders: sent to the repairer, in order.
        copy_of: trajectory_id of a copy -> of its leader, which has the same text and prompt.
        refused: trajectory_id -> why it is not sent.
    """

    leaders: list[str] = field(default_factory=list)
    copy_of: dict[str, str] = field(default_factory=dict)
    refused: dict[str, RowError] = field(default_factory=dict)


def needs_repair(trajectory: Trajectory) -> bool:
    """Wrong by the grader's verdict."""
    return not is_right(trajectory.reward)


def need_repair(batch: pa.RecordBatch) -> pa.BooleanArray:
    """Return the same for rows with the column `reward`: bool[rows]."""
    import pyarrow.compute as pc

    # Not `less`: a reward that is no number is not right, either.
    return pc.invert(pc.greater_equal(batch["reward"], RIGHT_REWARD))


def check_repairable(
    trajectory: Trajectory,
    *,
    require_answer: bool = True,
    undecided: UndecidedPolicy = "drop",
) -> None:
    """Refuse trajectories whose repair would say nothing about their tokens.

    Args:
        undecided: `grade.undecided`; unless it is `wrong`, an answer that could not be read is not
            known to be wrong and has nothing to be repaired.
        require_answer: refuse those whose final answer could not be read, too. What a user's own
            grader reads is its affair, and not asked for.

    Raises:
        RowError: `truncated` (the text stops in the middle, so a repair would have to add an
            ending), `undecided`, `empty_completion`, or `no_answer`.
    """
    if trajectory.finish_reason == "length":
        raise RowError(
            "truncated",
            f"the completion was cut off after {len(trajectory.completion_ids)} tokens.",
        )
    verdict = trajectory.verdict
    if undecided != "wrong" and verdict.undecided:
        raise RowError("undecided", f"nobody knows whether it is wrong: {verdict.detail}")
    if not trajectory.completion.strip():
        raise RowError("empty_completion", "the completion has no text.")
    if require_answer and verdict.extracted is None and is_built_in(verdict.grader):
        raise RowError("no_answer", f"no final answer could be read: {verdict.detail}")


def select_wrong(
    trajectories: Iterable[Trajectory],
    config: RepairConfig,
    undecided: UndecidedPolicy = "drop",
) -> Selection:
    """Sort the wrong trajectories of a shard.

    Of identical answers to a prompt the first is the leader. More samples, drawn later, never
    change what the earlier ones are.

    Args:
        trajectories: in order of prompts and samples; only the wrong ones.
        config: `per_group` (different answers repaired per prompt at most) and `require_answer`.
        undecided: see `check_repairable`.
    """
    selection = Selection()
    first: dict[tuple[str, bytes], str] = {}
    leaders_of: dict[str, int] = {}
    for trajectory in trajectories:
        key = trajectory.trajectory_id
        try:
            check_repairable(trajectory, require_answer=config.require_answer, undecided=undecided)
        except RowError as error:
            selection.refused[key] = error
            continue
        text = hashlib.sha256(trajectory.completion.encode("utf-8", "surrogatepass")).digest()
        leader = first.setdefault((trajectory.prompt_id, text), key)
        if leader != key:
            if leader in selection.refused:
                selection.refused[key] = selection.refused[leader]
            else:
                selection.copy_of[key] = leader
            continue
        count = leaders_of[trajectory.prompt_id] = leaders_of.get(trajectory.prompt_id, 0) + 1
        if config.per_group is not None and count > config.per_group:
            selection.refused[key] = RowError(
                "over_group_cap",
                f"{config.per_group} different wrong answers to this prompt were sent before it.",
            )
        else:
            selection.leaders.append(key)
    return selection


def is_control(trajectory: Trajectory, share: float) -> bool:
    """Say whether a trajectory is one of the right ones that are sent too.

    Decided by a hash of its id, so that it does not depend on what else there is.
    """
    if share <= 0 or needs_repair(trajectory):
        return False
    if trajectory.finish_reason == "length" or not trajectory.completion.strip():
        return False
    digest = hashlib.sha256(f"control|{trajectory.trajectory_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
