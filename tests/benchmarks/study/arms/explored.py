"""Holds arms that were made after results had been seen, to find out why `sft` is ahead.

They run on seeds of their own and stand in a table of their own: what they show is a guess that
another study would have to test.
"""

import numpy as np

from dfgen.trainers.recipe import RECIPES, Recipe
from tests.benchmarks.study.arms.arm import Arm, Failed, Floats, use_difference

NEW, SFT = RECIPES["df+repair"], RECIPES["sft"]


def keep_a_quarter(failed: Failed) -> tuple[Floats, Floats]:
    """Take dfgen's mask of the failed side; of the repair its kept tokens too, at weight .25."""
    wrong, right = use_difference(failed)
    return wrong, np.maximum(right, np.float32(0.25))


EXPLORED = (
    # Is it the kept tokens of the repair?
    Arm("df+new, kept .25", "df+new", NEW, keep_a_quarter),
    # Or that right answers are imitated rather than reinforced, and nothing is pushed down?
    Arm("sft, new tokens", "sft", SFT.change(positives="new")),
    # Or that every answer counts the same, however its group fared?
    Arm(
        "sft by advantage",
        "sft",
        Recipe(
            "sft by advantage",
            failed="drop",
            unrepaired="drop",
            right_loss="likelihood",
            positives="all",
        ),
    ),
)
