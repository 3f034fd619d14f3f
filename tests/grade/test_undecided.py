"""The third outcome, partial rewards, and references that no answer can meet."""

from __future__ import annotations

import warnings

import pytest

from dfgen.config.grade import GradeConfig
from dfgen.grade import GradeItem, GradePool, check_reference, grade
from dfgen.grade.grading import reconcile
from dfgen.grade.verdict import Verdict

UNREAD = [
    (r"\boxed{5 ⊕ 3 ⊗ 2}", "5"),
    (r"\boxed{5 3/ 7 ) x}", "12"),
    (r"\boxed{the big one}", "5 kg or so ) 3 ("),
]
WRONG = [
    ("", "5"),
    ("I cannot tell.", "5"),
    (r"\boxed{}", "5"),
    (r"\boxed{5 or 6}", "5"),
    (r"\boxed{5, 6}", "5"),
    ("Answer: 5 or maybe 6", "5"),
    ("In step 5 we look at the picture.", "5"),
    ("many", "5"),
    ("Answer: not 5", "5"),
]


@pytest.mark.parametrize(("completion", "answer"), UNREAD)
def test_what_cannot_be_read_is_undecided(completion: str, answer: str) -> None:
    verdict = grade(completion, answer)
    assert (verdict.undecided, verdict.correct, verdict.reward) == (True, False, 0.0), verdict


@pytest.mark.parametrize(("completion", "answer"), WRONG)
def test_no_answer_a_hedge_and_several_answers_are_wrong(completion: str, answer: str) -> None:
    verdict = grade(completion, answer)
    assert (verdict.undecided, verdict.correct) == (False, False), verdict


def test_a_grader_that_fails_or_is_late_decides_nothing() -> None:
    bad = "tests.grade.bad_graders:misbehave"
    with GradePool(GradeConfig(timeout_s=0.5)) as pool:
        late, broken = pool.grade_many([GradeItem("sleep", "x", bad), GradeItem("raise", "x", bad)])
    assert late.undecided and broken.undecided
    assert not grade("5", "5").undecided
    assert grade(None, "5").undecided  # type: ignore[arg-type]


def make(correct: bool, reward: float, name: str) -> Verdict:
    return Verdict(correct, reward, name, "x", "x", "whole_text", "compared")


def test_the_reward_decides_and_a_contradiction_is_told_once() -> None:
    with pytest.warns(RuntimeWarning, match=r"correct=True with the reward 0\.25"):
        assert not reconcile(make(True, 0.25, "first")).correct
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not reconcile(make(True, 0.25, "first")).correct
    with pytest.warns(RuntimeWarning, match="correct=False with the reward 1"):
        assert reconcile(make(False, 1.0, "second")).correct
    assert reconcile(make(False, 0.5, "third")) == make(False, 0.5, "third")


def test_partial_rewards_come_through_a_pool() -> None:
    item = GradeItem("partly", "x", "tests.grade.bad_graders:grade_in_parts")
    with GradePool(GradeConfig()) as pool, pytest.warns(RuntimeWarning, match="reward decides"):
        verdict = pool.grade_one(item)
    assert (verdict.correct, verdict.reward, verdict.undecided) == (False, 0.25, False)


COLOURS = ("red", "green", "dark blue")
REFERENCES = [
    ("B", COLOURS, True),
    ("(C)", COLOURS, True),
    ("green", COLOURS, True),
    ("A, C", COLOURS, True),
    ("B. green", COLOURS, True),
    ("Green.", COLOURS, True),
    ("D", COLOURS, False),
    ("yellow", COLOURS, False),
    ("7", ("5", "6"), False),
    ("0.5", (r"$\frac{1}{2}$", r"$\frac{1}{3}$"), True),
    (r"2\sqrt{2}", (r"$\sqrt{8}$", "3"), True),
    ("1 m", ("100 cm", "10 cm"), True),
    ("yellow", (), True),
]


@pytest.mark.parametrize(("answer", "choices", "good"), REFERENCES)
def test_a_reference_must_name_a_choice(answer: str, choices: tuple[str, ...], good: bool) -> None:
    problem = check_reference(answer, choices)
    assert (problem is None) is good, problem
    assert good or "names none of the" in str(problem)


def test_options_for_about_and_for_the_last_number() -> None:
    assert not grade("about 5", "5").correct
    assert grade("about 5", "5", config=GradeConfig(approximate="accept")).correct
    assert grade("about 3.14", "3.14").correct
    text = "In step 5 we look at the picture."
    assert not grade(text, "5").correct
    assert grade(text, "5", config=GradeConfig(last_number=True)).correct
