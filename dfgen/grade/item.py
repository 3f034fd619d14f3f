"""One completion to grade."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GradeItem:
    """A completion with what is known about its prompt.

    Args:
        completion: the text of the policy, thinking included.
        answer: the reference answer.
        answer_type: name of the grader; auto lets `GradeConfig.grader` decide.
        choices: texts of a multiple choice question in the order of their letters.
    """

    completion: str
    answer: str
    answer_type: str = "auto"
    choices: tuple[str, ...] = ()
