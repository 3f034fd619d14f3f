"""Holds the arms that weigh the tokens of dfgen's mask instead of marking them or not.

A consequence only carries on what an earlier mistake began. `consequences W`: dfgen's textual rule
gives such tokens the weight W on the failed side; on the repair's side they keep 1. Counterfactual:
a new token of the repair weighs 1 - p, where p is what the policy itself gives it after the
repaired beginning; a changed token of the failed side weighs what stands in its place. Value: a
token of the failed side weighs the share of the policy's success that was lost at its hunk.
"""

import numpy as np

from dfgen.diff import PairDiff
from dfgen.diff.weights import counterfactual_weights, value_weights
from dfgen.trainers.recipe import RECIPES
from tests.benchmarks.study.arms.arm import Arm, Failed, Floats, Mask, use_difference

DF, NEW = RECIPES["df"], RECIPES["df+repair"]


def find_consequences(diff: PairDiff) -> tuple[np.ndarray, np.ndarray]:
    """Return bool[T], bool[U]: changed tokens that dfgen calls consequences."""
    sides = []
    for ids, which in ((diff.completion_ids, "wrong_tokens"), (diff.repair_ids, "right_tokens")):
        marked = np.zeros(len(ids), dtype=bool)
        for hunk in diff.hunks:
            if hunk.role == "consequence":
                start, end = getattr(hunk, which)
                marked[start:end] = True
        sides.append(marked)
    return sides[0], sides[1]


def weigh_consequences(weight: float, *, both: bool = False) -> Mask:
    """Give consequences this weight on the failed side, or on both sides."""

    def mask(failed: Failed) -> tuple[Floats, Floats]:
        wrong, right = use_difference(failed)
        follows, follows_right = find_consequences(failed.diff)
        wrong[follows] *= weight
        if both:
            right[follows_right] *= weight
        return wrong, right

    return mask


def weigh_counterfactually(failed: Failed) -> tuple[Floats, Floats]:
    """Weigh by what the policy would not have said by itself, as `mask.counterfactual` does."""
    _, right = use_difference(failed)
    assert failed.repair_logprobs is not None
    wrong = counterfactual_weights(failed.diff, failed.repair_logprobs.tolist())
    return wrong, right * -np.expm1(failed.repair_logprobs)


def weigh_by_value(failed: Failed) -> tuple[Floats, Floats]:
    """Weigh the failed side by the continuations of its prefixes, as `mask.value: alone` does."""
    wrong, right = use_difference(failed)
    assert failed.values is not None
    # Where no continuation of the question ended right, there is no success to take a share of.
    if failed.values.start > 0:
        wrong = value_weights(failed.diff, failed.values.drops, failed.values.start)
    return wrong, right


#: Continuations of each prefix: few, as every round needs thousands.
DRAWS = 4

WEIGHTS = (
    Arm("df, consequences 0", "df", DF, weigh_consequences(0.0)),
    Arm("df, consequences .2", "df", DF, weigh_consequences(0.2)),
    Arm("df, counterfactual", "df", DF, weigh_counterfactually, scores_repairs=True),
    Arm("df+new, consequences 0", "df+new", NEW, weigh_consequences(0.0)),
    Arm("df+new, consequences .2", "df+new", NEW, weigh_consequences(0.2)),
    Arm("df+new, consequences 0 on both sides", "df+new", NEW, weigh_consequences(0.0, both=True)),
    Arm("df+new, counterfactual", "df+new", NEW, weigh_counterfactually, scores_repairs=True),
    Arm("df, value", "df", DF, weigh_by_value, draws=DRAWS),
    Arm("df+new, value", "df+new", NEW, weigh_by_value, draws=DRAWS),
)
