"""How the figures of a run are spread: what plots draw, beside the totals of `numbers`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfgen.store.run import Run

LARGEST_GROUP = 32
POSITION_BINS = 20
EDIT_RATIO_BINS = 20
SPENT = ("prompt_tokens", "completion_tokens", "cost_usd")


def measure_distributions(run: Run) -> dict[str, Any]:
    """Histograms over repaired trajectories and over attempts.

    Returns:
        right_per_group: prompts by the number of right answers, 0..K; None unless all groups have
            the same size K, at most `LARGEST_GROUP`.
        mask_by_position: `tokens` and `masked`, by twentieths of the completion.
        edit_ratio_histogram: accepted repairs by twentieths of the edit ratio.
        hunk_kinds: edits by kind, most frequent first.
        attempts_by_outcome: `accepted`, or the code of the check that refused -> `attempts`,
            `prompt_tokens`, `completion_tokens`, `cost_usd`; most frequent first.
        attempts_until_accepted: repairs by the number of attempts they took.
    """
    return {
        "right_per_group": count_right_per_group(run),
        **_spread_masks(run),
        **_spread_attempts(run),
    }


def count_right_per_group(run: Run) -> list[int] | None:
    """Prompts by how many of their K answers are right; None if K is not one small number."""
    right: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for row in run.table("trajectories").iter_rows(columns=["prompt_id", "reward"]):
        size[row["prompt_id"]] += 1
        right[row["prompt_id"]] += row["reward"] >= 1.0
    sizes = set(size.values())
    if len(sizes) != 1 or max(sizes) > LARGEST_GROUP:
        return None
    histogram = [0] * (sizes.pop() + 1)
    for count in right.values():
        histogram[count] += 1
    return histogram


def _spread_masks(run: Run) -> dict[str, Any]:
    tokens, masked = [0] * POSITION_BINS, [0] * POSITION_BINS
    ratios = [0] * EDIT_RATIO_BINS
    kinds: Counter[str] = Counter()
    columns = ["mask_source", "loss_mask", "quality", "hunks"]
    for row in run.table("masks").iter_rows(columns=columns):
        if row["mask_source"] != "repair":
            continue
        length = len(row["loss_mask"])
        for index, kept in enumerate(row["loss_mask"]):
            place = index * POSITION_BINS // length
            tokens[place] += 1
            masked[place] += kept
        ratio = row["quality"]["edit_ratio"]
        ratios[min(int(ratio * EDIT_RATIO_BINS), EDIT_RATIO_BINS - 1)] += 1
        kinds.update(hunk["kind"] for hunk in json.loads(row["hunks"]))
    return {
        "mask_by_position": {"tokens": tokens, "masked": masked},
        "edit_ratio_histogram": ratios,
        "hunk_kinds": dict(kinds.most_common()),
    }


def _spread_attempts(run: Run) -> dict[str, Any]:
    outcomes: dict[str, dict[str, Any]] = {}
    until: Counter[int] = Counter()
    for attempts in _iter_attempts(run):
        accepted = [attempt["index"] for attempt in attempts if attempt["accepted"]]
        if accepted:
            until[min(accepted) + 1] += 1
        for attempt in attempts:
            sums = outcomes.setdefault(attempt["reason"], dict.fromkeys(("attempts", *SPENT), 0))
            sums["attempts"] += 1
            for name in SPENT:
                sums[name] += attempt[name]
    return {
        "attempts_by_outcome": dict(
            sorted(outcomes.items(), key=lambda item: -item[1]["attempts"])
        ),
        "attempts_until_accepted": {str(count): n for count, n in sorted(until.items())},
    }


def _iter_attempts(run: Run) -> Iterator[list[dict[str, Any]]]:
    """The attempts at each trajectory, accepted in the end or not."""
    for row in run.table("repairs").iter_rows(columns=["attempts"]):
        yield row["attempts"]
    for row in run.rejects("repair").iter_rows(columns=["evidence"]):
        yield json.loads(row["evidence"]).get("attempts", [])
