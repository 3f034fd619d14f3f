"""Defines what a grader is given (one completion) and what it says about it."""

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
        precision: decimals to which the reference is stated; None: nobody said.
    """

    completion: str
    answer: str
    answer_type: str = "auto"
    choices: tuple[str, ...] = ()
    precision: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision with its evidence.

    Args:
        correct: whether the completion states the expected answer.
        reward: 0 to 1, a value that float32 can hold; graders of users may give partial reward.
        grader: name of the grader that decided.
        extracted: the answer found in the completion; None when none was found.
        expected: the reference answer as it was given.
        method: where the answer was found: boxed, answer_tag, answer_line, last_number,
            last_choice, whole_text or none.
        detail: one sentence of evidence for people; `grader` and `method` are not said again.
        undecided: an answer was given, and it or the reference could not be read, or the grader
            failed or timed out. Then `correct` is false and `reward` 0, and neither means that the
            answer is wrong. No final answer, a hedge and several different answers are wrong.
    """

    correct: bool
    reward: float
    grader: str
    extracted: str | None
    expected: str
    method: str
    detail: str
    undecided: bool = False
