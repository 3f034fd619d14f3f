"""States the meaning of a recipe in plain Python, one answer at a time: slow, and easy to check."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from dfgen.trainers.recipe import Recipe

Expected = dict[str, Any]


def expect(groups: Sequence[Sequence[dict[str, Any]]], recipe: Recipe) -> list[Expected]:
    """The examples of groups of answers as `make_answer` makes them."""
    found = [
        each for number, group in enumerate(groups) for each in expect_group(number, group, recipe)
    ]
    up = sum(a for each in found for a in each["advantages"] if a > 0)
    down = -sum(a for each in found for a in each["advantages"] if a < 0)
    if recipe.balance and up > 0 and down > 0:
        for each in found:
            each["advantages"] = [a * up / down if a < 0 else a for a in each["advantages"]]
    return found


def expect_group(number: int, group: Sequence[dict[str, Any]], recipe: Recipe) -> list[Expected]:
    advantages = baseline(group, recipe)
    known = [row for row in group if not row.get("undecided")]
    all_wrong = not any(row["reward"] >= 1 for row in known)
    found: list[Expected] = []
    taken: set[tuple[int, ...]] = set()
    for index, row in enumerate(group):
        if row.get("undecided"):
            continue
        right, advantage = row["reward"] >= 1, advantages[index]
        repaired = not right and row["mask_source"] == "repair"
        name = f"p{number:04d}-{index}"
        gate = gate_of(row, right, repaired, advantage, recipe)
        factor = advantage
        by_likelihood = right and recipe.right_loss == "likelihood"
        if by_likelihood and recipe.factor == "one":
            factor = 1.0
        if gate is not None and factor and any(gate):
            # A weight of 0 takes no token out of the mask.
            masked = repaired and recipe.failed == "mask"
            kept = list(row["loss_mask"]) if masked else [True] * len(gate)
            whole = recipe.mask_mode == "advantage"
            found.append(
                {
                    "name": name,
                    "kind": "right" if right else "failed",
                    "advantages": [factor * g for g in gate],
                    "loss_mask": [True] * len(gate) if whole else kept,
                    "divisor": len(gate) if whole else sum(kept),
                    "loss": "likelihood" if by_likelihood else "ratio",
                }
            )
        if not repaired or recipe.positives == "none":
            continue
        if recipe.positive_loss == "likelihood" and recipe.factor == "one":
            c = 0.0 if all_wrong and recipe.all_wrong == 0 else 1.0
        else:
            c = recipe.all_wrong if all_wrong else max(-advantage, 0.0)
        kept = row["repair_mask"] if recipe.positives == "new" else [True] * len(row["repair_ids"])
        text = tuple(row["repair_ids"])
        if c > 0 and recipe.copies == "once":
            if text in taken:
                continue
            taken.add(text)
        if c > 0 and any(kept):
            found.append(
                {
                    "name": name,
                    "kind": "repair",
                    "advantages": [c * k for k in kept],
                    "loss_mask": list(kept),
                    "divisor": 0,
                    "loss": recipe.positive_loss,
                }
            )
    return found


def baseline(group: Sequence[dict[str, Any]], recipe: Recipe) -> list[float]:
    rewards = [row["reward"] for row in group if not row.get("undecided")]
    if len(set(rewards)) < 2:
        return [0.0] * len(group)
    mean = math.fsum(rewards) / len(rewards)
    scale = statistics.stdev(rewards) + 1e-4 if recipe.scale_rewards == "group" else 1.0
    return [0.0 if row.get("undecided") else (row["reward"] - mean) / scale for row in group]


def gate_of(
    row: dict[str, Any], right: bool, repaired: bool, advantage: float, recipe: Recipe
) -> list[float] | None:
    """The share of each token's advantage; None: the recipe leaves the answer out."""
    everything = [1.0] * len(row["completion_ids"])
    if right:
        return everything if recipe.right == "full" else None
    if not repaired:
        return everything if recipe.unrepaired == "full" else None
    if recipe.failed == "full":
        return everything
    if recipe.failed == "drop" or advantage > 0:
        return None
    weights = row.get("weights") if recipe.weights else None
    known = [1.0 if weights is None or math.isnan(w) else w for w in weights or everything]
    return [w if m else 0.0 for w, m in zip(known, row["loss_mask"], strict=True)]
