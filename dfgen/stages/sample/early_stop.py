"""Finds groups that are decided before all their samples are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dfgen.errors import RowError
from dfgen.records import Reject, make_trajectory_id


def find_decided(
    prompt_ids: Iterable[str], first: int, right: Mapping[str, bool]
) -> dict[str, bool]:
    """Prompts whose first samples are all right (True) or all wrong (False).

    A sample that could not be drawn or read says nothing, so its group is never decided.

    Args:
        prompt_ids: the prompts to look at.
        first: how many samples decide.
        right: whether a sample is right, by trajectory_id; none of those that say nothing.
    """
    decided = {}
    for prompt_id in prompt_ids:
        verdicts = {right.get(make_trajectory_id(prompt_id, index)) for index in range(first)}
        if len(verdicts) == 1 and None not in verdicts:
            decided[prompt_id] = True in verdicts
    return decided


def refuse_decided(prompt_id: str, index: int, first: int, right: bool) -> Reject:
    """Return the entry of a cell that was not drawn because its group was decided."""
    word = "right" if right else "wrong"
    error = RowError(
        "group_decided",
        f"not drawn: the first {first} samples of the prompt are all {word}.",
        {"first": first, "right": right},
    )
    return Reject.from_error("sample", make_trajectory_id(prompt_id, index), prompt_id, error)
