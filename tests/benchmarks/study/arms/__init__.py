"""Lists the arms of the study: what each takes from groups of answers, one file per family."""

from tests.benchmarks.study.arms.arm import Arm
from tests.benchmarks.study.arms.controls import CONTROLS
from tests.benchmarks.study.arms.explored import EXPLORED
from tests.benchmarks.study.arms.masks import MASKS
from tests.benchmarks.study.arms.repairs import REPAIRS
from tests.benchmarks.study.arms.weights import WEIGHTS

ARMS: dict[str, Arm] = {arm.name: arm for arm in (*CONTROLS, *MASKS, *REPAIRS, *WEIGHTS, *EXPLORED)}
"""By name, in the order of the tables."""

EXPLORED_ARMS = (*(arm.name for arm in EXPLORED), "df+whole")
"""What was looked at after results had been seen."""

MAIN_ARMS = ("grpo", "right-only", "sft", "df", "df+new, no all-wrong", "df+new", "df+whole")
"""What the study's first question is about; all others explain."""

__all__ = ["ARMS", "EXPLORED_ARMS", "MAIN_ARMS", "Arm"]
