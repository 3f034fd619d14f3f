"""Graders that go by the last word of an answer, used through the pool by name.

word     loose       strict
fine     right       right
fair     right       wrong
poor     wrong       right
half     half right, and called correct all the same
blurred  undecided   wrong
murky    wrong       undecided
others   wrong       wrong
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dfgen.config.grade import GradeConfig
from dfgen.grade import Verdict

LOOSE = "tests.support.word_graders:grade_loosely"
STRICT = "tests.support.word_graders:grade_strictly"
COUNT = "DFGEN_TEST_GRADED"
"""Environment variable that names a file to which each grading adds a line."""


def grade_loosely(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict:
    return judge(completion, answer, "loose", {"fine": 1, "fair": 1, "half": 0.5, "blurred": None})


def grade_strictly(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict:
    return judge(completion, answer, "strict", {"fine": 1, "poor": 1, "half": 0.5, "murky": None})


def judge(completion: str, answer: str, name: str, rewards: Mapping[str, float | None]) -> Verdict:
    if COUNT in os.environ:
        with Path(os.environ[COUNT]).open("a") as file:
            file.write("graded\n")
    word = completion.rsplit(maxsplit=1)[-1].strip(".") if completion.split() else ""
    reward = rewards.get(word, 0)
    return Verdict(
        correct=bool(reward),
        reward=float(reward or 0),
        grader=name,
        extracted=word,
        expected=answer,
        method="whole_text",
        detail="compared",
        undecided=reward is None,
    )
