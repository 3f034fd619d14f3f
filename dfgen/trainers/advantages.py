"""Decides what of each answer is trained on and by how much: a recipe applied to groups of rewards.

It sees no token: only rewards, and how many tokens each answer, mask and repair has.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.trainers.recipe import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

EPSILON = 1e-4
"""Added to a group's standard deviation, as TRL and verl's predecessors do."""

RIGHT_REWARD = 1.0
"""From here on an answer is right, as in `dfgen.records`."""

NOTHING, ALL, MASKED = 0, 1, 2
"""How much of an answer or repair is trained on."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What is to be known of N answers in G groups.

    Attributes:
        edges: int64[G+1]: where each group begins and ends.
        rewards: float64[N], of float32.
        undecided: bool[N]: nobody knows the reward.
        repaired: bool[N]: a verified repair exists.
        tokens: int64[N]: T.
        masked: float64[N]: tokens in the mask, or their summed weights.
        repair_tokens: int64[N]: U, 0 without a repair.
        new: int64[N]: tokens that are new in the repair.
        texts: int64[N]: equal where repairs of a group are equal, -1 without a repair; only read
            where copies count once.
        blocked: bool[N]: the answer holds a placeholder of a picture, so no model can be asked what
            it thinks of these tokens.
        repair_blocked: bool[N]: its repair does.
    """

    edges: Ints
    rewards: Floats
    undecided: Bools
    repaired: Bools
    tokens: Ints
    masked: Floats
    repair_tokens: Ints
    new: Ints
    texts: Ints
    blocked: Bools
    repair_blocked: Bools

    def number_groups(self) -> Ints:
        """Return int64[N]: which group an answer belongs to."""
        return np.repeat(np.arange(len(self.edges) - 1), np.diff(self.edges))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a recipe makes of N answers.

    Attributes:
        advantages: float64[N]: (r - mean) / (std + eps), 0 where it is not known.
        right: bool[N]: right answers that are decided.
        failed: bool[N]: wrong answers that are decided.
        use: int8[N]: `NOTHING`, `ALL` or `MASKED` of an answer.
        factors: float64[N]: by which the answer's tokens are pushed up or down.
        repair_use: int8[N]: the same of its repair.
        repair_factors: float64[N]: c, 0 or more.
        all_wrong: bool[N]: no answer of its group is right.
        above: bool[N]: failed, repaired, and yet better than its group's mean.
        wanted_repairs: bool[N]: the recipe takes its repair, whatever its factor and ids are.
        copies: bool[N]: its repair is left out as a copy of another in the group.
    """

    advantages: Floats
    right: Bools
    failed: Bools
    use: NDArray[np.int8]
    factors: Floats
    repair_use: NDArray[np.int8]
    repair_factors: Floats
    all_wrong: Bools
    above: Bools
    wanted_repairs: Bools
    copies: Bools


def compute_advantages(answers: Answers, scale: bool) -> Floats:
    """Compute float64[N]: A = (r - mean) / (std + 1e-4) within each group.

    Mean and standard deviation are those of the answers that are decided; the deviation is the
    unbiased one (ddof 1), as TRL and verl take it. Without `scale` it is r - mean (Dr. GRPO,
    arXiv 2503.20783). Exactly 0 where all decided rewards are equal, in a group of one, and for
    undecided answers.
    """
    groups, count = answers.number_groups(), len(answers.edges) - 1
    known = ~answers.undecided
    rewards = np.where(known, answers.rewards, 0.0)
    sizes = np.bincount(groups[known], minlength=count)
    means = np.bincount(groups, weights=rewards, minlength=count) / np.maximum(sizes, 1)
    # Rewards have 24 bits, so that the mean of equal ones is exactly that one in 53.
    away = np.where(known, rewards - means[groups], 0.0)
    if not scale:
        return away
    squares = np.bincount(groups, weights=away * away, minlength=count)
    deviations = np.sqrt(squares / np.maximum(sizes - 1, 1))
    return away / (deviations + EPSILON)[groups]


def plan_answers(answers: Answers, recipe: Recipe) -> Plan:
    """Apply a recipe, its `balance` left out."""
    groups, count = answers.number_groups(), len(answers.edges) - 1
    known = ~answers.undecided
    right = known & (answers.rewards >= RIGHT_REWARD)
    failed = known & ~right
    rights = np.bincount(groups[right], minlength=count)
    all_wrong = known & (rights == 0)[groups]
    advantages = compute_advantages(answers, recipe.scale_rewards == "group")
    repaired = failed & answers.repaired
    # With partial rewards a wrong answer may be better than the mean. What its repair changed is
    # wrong all the same: a mask never pushes it up, nor its repair down.
    above = repaired & (advantages > 0)

    use = np.zeros(len(right), np.int8)
    if recipe.right == "full":
        use[right] = ALL
    if recipe.unrepaired == "full":
        use[failed & ~answers.repaired] = ALL
    if recipe.failed == "full":
        use[repaired] = ALL
    elif recipe.failed == "mask":
        use[repaired & ~above] = MASKED
    use[answers.blocked] = NOTHING
    factors = advantages.copy()
    if recipe.right_loss == "likelihood" and recipe.factor == "one":
        factors[right] = 1.0

    repair_use = np.zeros(len(right), np.int8)
    if recipe.positives != "none":
        repair_use[repaired] = MASKED if recipe.positives == "new" else ALL
        repair_use[answers.repair_blocked] = NOTHING
    pulls = np.maximum(-advantages, 0.0)
    if recipe.positive_loss == "likelihood" and recipe.factor == "one":
        pulls = np.ones(len(right))
        pulls[all_wrong & (recipe.all_wrong == 0)] = 0.0
    else:
        pulls[all_wrong] = recipe.all_wrong
    copies = np.zeros(len(right), bool)
    if recipe.copies == "once":
        copies = _find_copies(answers.texts, (repair_use != NOTHING) & (pulls > 0))
        repair_use[copies] = NOTHING
    return Plan(
        advantages=advantages,
        right=right,
        failed=failed,
        use=use,
        factors=np.where(use != NOTHING, factors, 0.0),
        repair_use=repair_use,
        repair_factors=np.where(repair_use != NOTHING, pulls, 0.0),
        all_wrong=all_wrong,
        above=above,
        wanted_repairs=repaired & (recipe.positives != "none"),
        copies=copies,
    )


def _find_copies(texts: Ints, wanted: Bools) -> Bools:
    """Find wanted repairs whose text another wanted one before has."""
    rows = np.flatnonzero(wanted)
    _, first = np.unique(texts[rows], return_index=True)
    copies = wanted.copy()
    copies[rows[first]] = False
    return copies


def number_texts(edges: Ints, repairs: list[Any]) -> Ints:
    """Number int64[N]: answers of a group whose repairs are the same have the same number.

    Args:
        edges: int64[G+1] of the groups.
        repairs: N values that can be hashed; None where there is no repair, which gives -1.
    """
    numbers = np.full(len(repairs), -1, np.int64)
    for start, end in pairwise(edges.tolist()):
        seen: dict[Any, int] = {}
        for index in range(start, end):
            if repairs[index] is not None:
                numbers[index] = seen.setdefault(repairs[index], index)
    return numbers
