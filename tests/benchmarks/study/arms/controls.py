"""Holds the arms that need no mask: what every claim for masks must be compared with."""

from dfgen.trainers.recipe import RECIPES
from tests.benchmarks.study.arms.arm import Arm

CONTROLS = (
    # The model as it is; its row is the measure of all others.
    Arm("start", "start", RECIPES["grpo"]),
    Arm("grpo", "grpo", RECIPES["grpo"]),
    # Rejection sampling: failed answers stay in the baseline and are otherwise left out.
    Arm("right-only", "right-only", RECIPES["right-only"]),
    # No difference, no advantage: plain likelihood of whatever ends right.
    Arm("sft", "sft", RECIPES["sft"]),
)
