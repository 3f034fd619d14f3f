"""Holds the arms that learn from repairs as positives."""

from dfgen.trainers.recipe import RECIPES, Recipe
from tests.benchmarks.study.arms.arm import Arm

NEW = RECIPES["df+repair"]

REPAIRS = (
    Arm("df+new", "df+new", NEW),
    Arm("df+new, no all-wrong", "df+new", NEW.change(all_wrong=0.0)),
    Arm("df+new, ratio", "df+new, ratio", NEW.change(positive_loss="ratio"), scores_repairs=True),
    Arm("df+whole", "df+whole", RECIPES["df+whole"]),
    Arm("grpo+whole, ratio", "grpo+whole", RECIPES["grpo+repair"], scores_repairs=True),
    Arm("grpo+whole", "grpo+whole", RECIPES["grpo+repair"].change(positive_loss="likelihood")),
    # The positives alone: neither the failed side nor right answers.
    Arm(
        "new only",
        "df+new",
        Recipe("new", failed="drop", unrepaired="drop", right="drop", positives="new"),
    ),
    Arm(
        "right+new",
        "df+new",
        Recipe("right+new", failed="drop", unrepaired="drop", positives="new"),
    ),
)
