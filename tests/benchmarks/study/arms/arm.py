"""Says what an arm is: a recipe of dfgen, and what stands in the place of dfgen's mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfgen.diff import PairDiff
from dfgen.trainers.recipe import Recipe
from tests.benchmarks.study.values import Values

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Failed:
    """A wrong answer with an accepted repair.

    Attributes:
        diff: dfgen's comparison of the two: T tokens of the answer, U of the repair.
        logprobs: float32[T], under the policy that sampled it.
        repair_logprobs: float32[U] under the same policy, if the arm asked for them.
        rng: for masks that are drawn.
        values: by the policy's continuations, if the arm asked for them.
    """

    diff: PairDiff
    logprobs: Floats
    repair_logprobs: Floats | None
    rng: np.random.Generator
    values: Values | None = None


Mask = Callable[[Failed], tuple[Floats, Floats]]
"""From a failed answer to the weights of its tokens, float32[T] in [0, 1], and of its repair's."""


def use_difference(failed: Failed) -> tuple[Floats, Floats]:
    """Take dfgen's masks as they are."""
    return failed.diff.loss_mask.astype(np.float32), failed.diff.repair_mask.astype(np.float32)


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        family: arms of one family share their learning rate.
        recipe: which answers and repairs are trained on, by which loss and factor.
        mask: weights of tokens on both sides.
        scores_repairs: the mask needs the repairs' log-probs: one more forward pass.
        draws: continuations of each prefix that the mask needs; 0: it needs none.
    """

    name: str
    family: str
    recipe: Recipe
    mask: Mask = use_difference
    scores_repairs: bool = False
    draws: int = 0
